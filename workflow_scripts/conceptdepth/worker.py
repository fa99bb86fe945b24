"""A process that keeps a model loaded, so that one load serves all cells of a model.

Loading takes longer than many cells. The job of a cell asks the worker of its Snakemake, starting it if it is
not there, to extract the cell; the job, not the worker, puts the result in place. They speak JSON lines over a
Unix socket in a folder that only the user can enter. Jobs that run side by side share the model: each has a
thread of the worker, which logs into the cell's own log file.

A worker is private to one Snakemake, version of the code, interpreter, set of GPUs and SLURM job: they are in
its address. It leaves when its Snakemake has ended, or after a minute without work; a job that dies takes its
thread with it.
"""

import fcntl
import hashlib
import io
import json
import logging
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

from conceptdepth.cell import Cell, extract_cell
from conceptdepth.digest import SCRIPTS
from conceptdepth.errors import NotWanted, UserError
from conceptdepth.job import LOG_DATE, LOG_LINE, RUN_VARIABLE
from conceptdepth.loaded import LoadedModels

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
"""How long a worker waits for another request."""

START_SECONDS = 60.0
"""How long a job waits for a worker to start."""

LEAVE_SECONDS = 30.0
"""How long a worker that leaves waits for threads that nobody waits for."""


def extract_in_worker(cell: Cell, *, log_file: str, log_level: str, digest: str) -> dict[str, Any]:
    """Let a worker extract a cell, put the result in place and return the worker's facts.

    ``digest`` is the digest of the code, part of the worker's address. Raises `UserError` with the worker's
    message if it fails.
    """
    final = Path(cell.destination)
    # A name of its own: the thread of a job that died may not have noticed yet.
    given = final.with_name(f".{final.name}.{os.getpid()}.worker")
    wanted = asdict(replace(cell, destination=str(given)))
    try:
        outcome = _ask(address(digest), {"cell": wanted, "log_file": log_file, "log_level": log_level})
        if "error" in outcome:
            raise UserError(outcome["error"])
        os.replace(given, final)
        return outcome["facts"]
    finally:
        given.unlink(missing_ok=True)


def address(digest: str) -> Path:
    """Return the socket of the worker for this Snakemake, folder, code, interpreter, set of GPUs and SLURM job."""
    variables = (RUN_VARIABLE, "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")
    parts = [digest, sys.executable, str(Path.cwd()), *(os.environ.get(variable, "") for variable in variables)]
    folder = Path(tempfile.gettempdir()) / f"conceptdepth-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise UserError(f"{folder} belongs to another user or is open to others; remove it, or set TMPDIR.")
    return folder / (hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16] + ".sock")


def _ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request and wait for the outcome; once more if the worker was dying when it was asked."""
    for _ in range(2):
        with _connect(path) as connection, connection.makefile("rw", encoding="utf-8") as stream:
            answers = []
            with suppress(ConnectionError):
                stream.write(json.dumps(request) + "\n")
                stream.flush()
                answers = [json.loads(line) for line in stream]
        if len(answers) == 2:
            return answers[1]
        if answers:
            log.error("%s", path.with_suffix(".log").read_text(encoding="utf-8", errors="replace")[-5000:])
            return {"error": "the worker died, perhaps for want of memory; run again to retry the cell."}
    return {"error": "no worker answers; set execution.keep_model_loaded to false."}


def _connect(path: Path) -> socket.socket:
    """Connect to the worker, starting it if none listens; one job at a time, so that one alone is started."""
    with _locked(path, wait=True):
        connection = _try_connect(path)
        if connection is None:
            _start(path)
        deadline = time.monotonic() + START_SECONDS
        while connection is None:
            if time.monotonic() > deadline:
                raise UserError("no worker started within a minute; set execution.keep_model_loaded to false.")
            time.sleep(0.05)
            connection = _try_connect(path)
        return connection


def _start(path: Path) -> None:
    path.unlink(missing_ok=True)
    with path.with_suffix(".log").open("w") as last_words:
        subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "conceptdepth.worker", str(path)],
            env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=last_words,
            stderr=last_words,
        )


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Lock the address of a worker, and tell whether that succeeded; the lock goes when the process dies, too."""
    with path.with_suffix(".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def _try_connect(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


# --- The worker's side -----------------------------------------------------------------------------------


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
        with open(path, "a", encoding="utf-8", buffering=1) as stream:
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
    """A cell that a job wants, and the thread that extracts it."""

    def __init__(self, connection: socket.socket, models: LoadedModels, logs: OwnLog) -> None:
        super().__init__(daemon=True)
        self._connection, self._models, self._logs = connection, models, logs
        self._gone = threading.Event()
        """Set when the job has its answer, or has died."""

    def is_wanted(self) -> bool:
        """Tell whether a job waits for this cell."""
        return self.is_alive() and not self._gone.is_set()

    def run(self) -> None:
        """Extract the cell and tell the job how it went."""
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
                Path(request["cell"]["destination"]).unlink(missing_ok=True)
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
        with self._logs.to(request["log_file"]):
            try:
                return {"facts": extract_cell(Cell(**request["cell"]), self._models, lambda: not self._gone.is_set())}
            except UserError as error:
                return {"error": str(error)}
            except NotWanted:
                return {"error": "the job that wanted this cell is gone."}
            except Exception:
                log.exception("the extraction failed")
                return {"error": "the extraction failed; its traceback stands above."}


def serve(path: Path) -> None:
    """Serve requests until nobody needs this worker any more."""
    sys.stdout = sys.stderr = logs = OwnLog(sys.stderr)
    logging.basicConfig(stream=logs, format=LOG_LINE, datefmt=LOG_DATE)
    logging.captureWarnings(True)
    run = int(os.environ.get(RUN_VARIABLE, "/0").rpartition("/")[2])
    models, requests = LoadedModels(), list[Request]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(0.5)
        last = time.monotonic()
        while True:
            with suppress(TimeoutError):
                requests.append(Request(server.accept()[0], models, logs))
                requests[-1].start()
            if any(request.is_wanted() for request in requests):
                last = time.monotonic()
            elif (time.monotonic() - last > IDLE_SECONDS or (run and not _alive(run))) and _leave(server, path):
                break
            requests = [request for request in requests if request.is_alive()]
    for request in requests:  # Nobody waits for them, but they would leave half a file.
        request.join(LEAVE_SECONDS)
    os._exit(0)


def _leave(server: socket.socket, path: Path) -> bool:
    """Remove the socket, unless a job is about to ask this worker."""
    with _locked(path, wait=False) as alone:
        if not alone or select.select([server], [], [], 0)[0]:
            return False
        for suffix in (".sock", ".log", ".lock"):
            path.with_suffix(suffix).unlink(missing_ok=True)
        return True


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
