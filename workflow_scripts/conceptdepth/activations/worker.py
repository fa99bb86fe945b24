"""A process that keeps a model loaded, so that one load serves all jobs that need it.

Loading takes longer than many cells. A job asks the worker of its Snakemake, starting it if it is not there, for
activations or answers of a cell; the job, not the worker, puts the result in place. They speak JSON lines over a
Unix socket in a folder that only the user can enter. Jobs that run side by side share the model: each has a
thread of the worker, which logs into the job's own log file.

A worker is private to one Snakemake, version of the code, interpreter, set of GPUs and SLURM job: they are in
its address. It leaves when its Snakemake has ended, or after a minute without work; a job that dies takes its
thread with it.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from glob import escape
from pathlib import Path
from typing import Any

from conceptdepth.activations import server
from conceptdepth.activations.address import address, connect, locked
from conceptdepth.activations.request import WorkRequest
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import SCRIPTS
from conceptdepth.models.loaded import LoadedModels
from conceptdepth.provenance.digest import code_digest

log = logging.getLogger(__name__)

START_SECONDS = 60.0
"""How long a job waits for a worker to start."""

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(64 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(512 * 2**20)}
"""What glibc is told of memory, unless it is told already: the states of a pass come and go in megabytes, and would be
given back to the system, and taken and cleared anew, at each step. That is a tenth of a pass on a processor."""


def carried_out(request: WorkRequest, *, execution: Mapping[str, Any], log_file: str) -> dict[str, Any]:
    """Let the worker do what is requested, or do it here if the config section ``execution`` wants no worker.

    Returns facts about the process that did it (`WorkRequest.carry_out`).
    """
    if execution["keep_model_loaded"]:
        return in_worker(request, log_file=log_file, log_level=execution["log_level"])
    return request.carry_out(LoadedModels())


def in_worker(request: WorkRequest, *, log_file: str, log_level: str) -> dict[str, Any]:
    """Let a worker do what is requested, put the results in place and return the worker's facts.

    Raises `UserError` with the worker's message if it fails.
    """
    finals = {field: Path(getattr(request, field)) for field in request.WRITTEN}
    # A name of its own: the thread of a job that died may not have noticed yet.
    given = {field: final.with_name(f".{final.name}.{os.getpid()}.worker") for field, final in finals.items()}
    names = {field: str(path) for field, path in given.items()}
    asked = {
        "kind": type(request).__name__,
        "fields": asdict(request) | names,
        "files": list(names.values()),
        "log_file": log_file,
        "log_level": log_level,
    }
    try:
        outcome = _ask(address(code_of_worker()), asked)
        if "error" in outcome:
            said = outcome["error"]
            for field, final in finals.items():
                said = said.replace(names[field], str(final))
            raise UserError(said)
        for field, final in finals.items():
            os.replace(given[field], final)
            _remove_halves(final)
        return outcome["facts"]
    finally:
        for path in given.values():
            path.unlink(missing_ok=True)


def _remove_halves(final: Path) -> None:
    """Remove what workers have left that were killed, together with their jobs, while they wrote this file."""
    name = escape(final.name)
    for pattern in (f".{name}.*.worker", f"..{name}.*.worker.part"):
        for half in final.parent.glob(pattern):
            half.unlink(missing_ok=True)


def code_of_worker() -> str:
    """Return the digests of all code that a worker may run, a part of its address.

    The job's own script is left out, because jobs of several rules share a worker.
    """
    files = [f"{module.replace('.', '/')}.py" for module in (server.__name__, *server.KINDS.values())]
    return " ".join(map(code_digest, files))


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
            return {"error": "the worker died, perhaps because memory ran out; run again to retry this job."}
    return {"error": "no worker answers; set execution.keep_model_loaded to false."}


def _connect(path: Path) -> socket.socket:
    """Connect to the worker, starting it if none listens; one job at a time, so that one alone is started."""
    with locked(path, wait=True):
        connection = connect(path)
        if connection is None:
            _start(path)
        deadline = time.monotonic() + START_SECONDS
        while connection is None:
            if time.monotonic() > deadline:
                raise UserError("no worker started within a minute; set execution.keep_model_loaded to false.")
            time.sleep(0.05)
            connection = connect(path)
        return connection


def _start(path: Path) -> None:
    path.unlink(missing_ok=True)
    with path.with_suffix(".log").open("w") as last_words:
        subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", server.__name__, str(path)],
            env=ALLOCATOR | os.environ | {"PYTHONPATH": str(SCRIPTS)},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=last_words,
            stderr=last_words,
        )
