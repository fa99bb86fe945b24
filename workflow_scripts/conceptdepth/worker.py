"""A process that keeps a model loaded, so that one load serves all cells of a model.

Loading takes longer than many cells. The job of a cell asks the worker to extract it, starting one if none
is free; the worker logs into the cell's own log file. The job, not the worker, puts the result in place. They
speak JSON lines over a Unix socket in a folder that only the user can enter. A job locks the worker it asks,
so jobs that run side by side have workers of their own, and two Snakemakes do not disturb each other.

A worker is private to one version of the code, interpreter, set of GPUs and SLURM job: they are in its
address. It leaves when no Snakemake that used it is alive, when it has been idle for a minute, or when a job
that it works for dies.
"""

import fcntl
import hashlib
import itertools
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from conceptdepth.cell import Cell, LoadedModel, extract_cell
from conceptdepth.digest import SCRIPTS
from conceptdepth.errors import UserError
from conceptdepth.job import RUN_VARIABLE, logging_to

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
"""How long a worker waits for another request."""

START_SECONDS = 60.0
"""How long a job waits for a worker to start."""


def extract_in_worker(cell: Cell, *, log_file: str, log_level: str, digest: str) -> dict[str, Any]:
    """Let a worker extract a cell, put the result in place and return the worker's facts.

    ``digest`` is the digest of the code, part of the worker's address. Raises `UserError` with the worker's
    message if it fails.
    """
    final = Path(cell.destination)
    given = final.with_name(f".{final.name}.worker")
    request = {
        "cell": asdict(replace(cell, destination=str(given))),
        "folder": str(Path.cwd()),
        "log_file": log_file,
        "log_level": log_level,
        "run": int(os.environ.get(RUN_VARIABLE, 0)),
    }
    try:
        with _free_slot(address(digest)) as path:
            outcome = _ask(path, request)
        if "error" in outcome:
            raise UserError(outcome["error"])
        os.replace(given, final)
        return outcome["facts"]
    finally:
        given.unlink(missing_ok=True)


def address(digest: str) -> Path:
    """Return where the workers for this code, interpreter, set of GPUs and SLURM job have their sockets."""
    parts = [digest, sys.executable, *(os.environ.get(key, "") for key in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"))]
    folder = Path(tempfile.gettempdir()) / f"conceptdepth-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise UserError(f"{folder} belongs to another user or is open to others; remove it, or set TMPDIR.")
    return folder / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@contextmanager
def _free_slot(base: Path) -> Iterator[Path]:
    """Give the socket of the first worker that works for no other job, and keep others away from it."""
    for number in itertools.count():
        path = base.with_name(f"{base.name}-{number}.sock")
        with path.with_suffix(".lock").open("w") as stream:
            if _lock(stream):
                yield path
                return


def _lock(stream: IO[str]) -> bool:
    """Try to lock a file; the lock goes when the file is closed or the process dies."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request and wait for the outcome; once more if the worker was dying when it was asked."""
    for _ in range(2):
        with _connect(path) as connection, connection.makefile("rw", encoding="utf-8") as stream:
            answers = []
            try:
                stream.write(json.dumps(request) + "\n")
                stream.flush()
                answers = [json.loads(line) for line in stream]
            except ConnectionError:
                pass
        if len(answers) == 2:
            return answers[1]
        if answers:
            return {"error": "the worker died, perhaps for want of memory; run again to retry the cell."}
    return {"error": "no worker answers; set execution.keep_model_loaded to false."}


def _connect(path: Path) -> socket.socket:
    """Connect to the worker, starting it if none listens."""
    connection = _try_connect(path)
    if connection is None:
        path.unlink(missing_ok=True)
        subprocess.Popen(
            [sys.executable, "-m", "conceptdepth.worker", str(path)],
            env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    deadline = time.monotonic() + START_SECONDS
    while connection is None:
        if time.monotonic() > deadline:
            raise UserError("no worker started within a minute; set execution.keep_model_loaded to false.")
        time.sleep(0.05)
        connection = _try_connect(path)
    return connection


def _try_connect(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


# --- The worker's side -----------------------------------------------------------------------------------


def serve(path: Path) -> None:
    """Serve requests until nobody needs this worker any more."""
    loaded = LoadedModel()
    runs: set[int] = set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(0.5)
        last = time.monotonic()
        while True:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                unwanted = runs and not any(map(_alive, runs))
                if (unwanted or time.monotonic() - last > IDLE_SECONDS) and _leave(path):
                    return
                continue
            with connection:
                _handle(connection, loaded, runs)
            last = time.monotonic()


def _leave(path: Path) -> bool:
    """Remove the socket, unless a job has just locked this worker to ask it."""
    with path.with_suffix(".lock").open("w") as stream:
        if not _lock(stream):
            return False
        path.unlink()
        return True


def _handle(connection: socket.socket, loaded: LoadedModel, runs: set[int]) -> None:
    connection.settimeout(None)
    with connection.makefile("rw", encoding="utf-8") as stream:
        line = stream.readline()
        if not line:
            return
        request = json.loads(line)
        runs.update({request["run"]} - {0})
        os.chdir(request["folder"])
        stream.write('"begun"\n')
        stream.flush()
        finished = threading.Event()
        threading.Thread(target=_leave_with_client, args=(connection, finished), daemon=True).start()
        outcome = _work(request, loaded)
        finished.set()
        try:
            stream.write(json.dumps(outcome) + "\n")
            stream.flush()
            # Closing alone would wait for the thread that listens for the other end.
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            os._exit(1)


def _work(request: dict[str, Any], loaded: LoadedModel) -> dict[str, Any]:
    with logging_to(request["log_file"], request["log_level"]):
        try:
            return {"facts": extract_cell(Cell(**request["cell"]), loaded)}
        except UserError as error:
            return {"error": str(error)}
        except Exception:
            log.exception("the extraction failed")
            return {"error": "the extraction failed; its traceback stands above."}


def _leave_with_client(connection: socket.socket, finished: threading.Event) -> None:
    """End the process when the job at the other end dies: nobody would take the result."""
    try:
        gone = not connection.recv(1)
    except OSError:
        gone = True
    if gone and not finished.is_set():
        os._exit(1)


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
