"""The worker's side: a thread for each piece of work that a job wants, which logs into that job's own file."""

import io
import json
import logging
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from conceptdepth.activations.address import locked, remove, remove_dead
from conceptdepth.activations.request import WorkRequest
from conceptdepth.ground.disk import refusal, told
from conceptdepth.ground.errors import NotWanted, UserError
from conceptdepth.models.loaded import LoadedModels
from conceptdepth.provenance.job import LOG_DATE, LOG_LINE, PublicLog, snakemake_has_ended

log = logging.getLogger(__name__)

KINDS = {
    "Cell": "conceptdepth.activations.cell",
    "AnswerCell": "conceptdepth.activations.answer_cell",
    "CausalCell": "conceptdepth.activations.causal_cell",
}
"""Class of a request -> its module.

They are imported on demand, so that an edit in one does not make the jobs of the other stale.
"""

IDLE_SECONDS = 60.0
"""How long a worker waits for another request."""

LEAVE_SECONDS = 30.0
"""How long a worker that leaves waits for threads that nobody waits for."""


class OwnLog(io.TextIOBase):
    """Standard output and error of a process whose threads each write to a log file of their own."""

    encoding = "utf-8"

    def __init__(self, otherwise: TextIO) -> None:
        self._otherwise = otherwise
        """Where threads without a log file write."""
        self._of_thread = threading.local()

    @contextmanager
    def to(self, path: str) -> Iterator[None]:
        """Let this thread append to a file."""
        with PublicLog(path) as stream:
            self._of_thread.stream = stream
            try:
                yield
            finally:
                del self._of_thread.stream

    def write(self, text: str) -> int:
        """Write to the log file of this thread."""
        return self._stream().write(text)

    def flush(self) -> None:
        """Flush the log file of this thread."""
        self._stream().flush()

    def _stream(self) -> TextIO:
        return getattr(self._of_thread, "stream", self._otherwise)


class Request(threading.Thread):
    """Work that a job wants, and the thread that does it."""

    def __init__(self, connection: socket.socket, models: LoadedModels, logs: OwnLog) -> None:
        super().__init__(daemon=True)
        self._connection, self._models, self._logs = connection, models, logs
        self._gone = threading.Event()
        """Set when the job has its answer, or has died."""

    def is_wanted(self) -> bool:
        """Tell whether a job waits for this work."""
        return self.is_alive() and not self._gone.is_set()

    def run(self) -> None:
        """Do the work and tell the job how it went."""
        with self._connection, self._connection.makefile("rw", encoding="utf-8") as stream, suppress(OSError):
            line = stream.readline()
            if not line:
                return
            stream.write('"begun"\n')
            stream.flush()
            threading.Thread(target=self._watch, daemon=True).start()
            request = json.loads(line)
            outcome = self._work(request)
            if self._gone.is_set():
                for path in request["files"]:
                    Path(path).unlink(missing_ok=True)
            stream.write(json.dumps(outcome) + "\n")
            stream.flush()
            # Closing alone would wait for the thread that listens for the other end.
            self._connection.shutdown(socket.SHUT_RDWR)

    def _watch(self) -> None:
        """Wait for the other end to close."""
        with suppress(OSError):
            self._connection.recv(1)
        self._gone.set()

    def _work(self, request: dict[str, Any]) -> dict[str, Any]:
        logging.getLogger().setLevel(request["log_level"])
        try:
            with self._logs.to(request["log_file"]):
                return self._done(request)
        except OSError as error:
            return {"error": told(error)}

    def _done(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            work: WorkRequest = getattr(import_module(KINDS[request["kind"]]), request["kind"])(**request["fields"])
            return {"facts": work.carry_out(self._models, lambda: not self._gone.is_set())}
        except UserError as error:
            return {"error": str(error)}
        except NotWanted:
            return {"error": "the job that wanted this is gone."}
        except Exception as error:
            if isinstance(error, OSError) and refusal(error):
                raise
            log.exception("work with the model failed")
            return {"error": "work with the model failed; its traceback stands above."}


def serve(path: Path) -> None:
    """Serve requests until nobody needs this worker any more."""
    sys.stdout = sys.stderr = logs = OwnLog(sys.stderr)
    logging.basicConfig(stream=logs, format=LOG_LINE, datefmt=LOG_DATE)
    logging.captureWarnings(True)
    models, requests = LoadedModels(), list[Request]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(0.5)
        remove_dead(path)
        last = time.monotonic()
        while True:
            with suppress(TimeoutError):
                requests.append(Request(server.accept()[0], models, logs))
                requests[-1].start()
            if any(request.is_wanted() for request in requests):
                last = time.monotonic()
            elif (time.monotonic() - last > IDLE_SECONDS or snakemake_has_ended()) and _leave(server, path):
                break
            requests = [request for request in requests if request.is_alive()]
    for request in requests:  # Nobody waits for them, but they would leave half a file.
        request.join(LEAVE_SECONDS)
    os._exit(0)


def _leave(server: socket.socket, path: Path) -> bool:
    """Remove the socket, unless a job is about to ask this worker."""
    with locked(path, wait=False) as alone:
        if not alone or select.select([server], [], [], 0)[0]:
            return False
        remove(path)
        return True


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
