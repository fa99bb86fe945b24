"""What every script does around its work: log to the job's file, report errors to a person, keep a record."""

import io
import logging
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from conceptdepth.ground.disk import refusal, told
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.secrets import public
from conceptdepth.provenance.comparison import compare_inputs
from conceptdepth.provenance.digest import script_of
from conceptdepth.provenance.record import JobRecord, is_record, rule_of

log = logging.getLogger("conceptdepth")

RUN_VARIABLE = "CONCEPTDEPTH_RUN"
"""Environment variable with the SLURM job, if any, process id and machine of the Snakemake that a job belongs to."""

LOOK_SECONDS = 0.5
"""How often a process looks whether its Snakemake has ended."""

LOG_LINE, LOG_DATE = "%(asctime)s %(message)s", "%H:%M:%S"
"""Format of a line of a log file."""


@contextmanager
def job(snakemake: Any, *, comparing: bool = True) -> Iterator[JobRecord]:
    """Run a script's work with its log file as standard output and error, and write its record.

    Gives the record, whose id figures carry. Before that each input is compared with its record, unless the work is to
    look for differences. A `UserError`, or a disk that refuses, ends the job with one sentence; any other exception
    leaves its traceback in the log. The job ends with its Snakemake: the next one does the work again, on the same
    files.
    """
    signal.signal(signal.SIGINT, _interrupted)
    path, level = Path(snakemake.log[0]), snakemake.config["execution"]["log_level"]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with _ending_with_snakemake(), logging_to(path, level), _ending_in_a_sentence():
            record = begin_record(snakemake)
            if comparing:
                compare_inputs(record.content["inputs"], record.upstream)
            yield record
            record.write([output for output in snakemake.output if not is_record(output)], snakemake.output.record)
    except OSError as error:  # The log may lie on the disk that refuses.
        raise SystemExit(f"Error: {told(error)}") from None


@contextmanager
def _ending_in_a_sentence() -> Iterator[None]:
    """Log why work ends, and end the job unless a disk refuses to be written."""
    try:
        yield
    except UserError as error:
        log.error("Error: %s", error)
        raise SystemExit(1) from None
    except Exception as error:
        if isinstance(error, OSError) and (sentence := refusal(error)):
            log.debug("%s", sentence, exc_info=True)
            log.error("Error: %s", sentence)
            raise
        log.exception("Error: this should not have happened; please report it.")
        raise SystemExit(1) from None


def snakemake_has_ended() -> bool:
    """Tell whether the Snakemake that this process belongs to, if there is one, runs no more."""
    process, _, machine = os.environ.get(RUN_VARIABLE, "/0").rpartition("/")[2].partition("@")
    if machine not in ("", platform.node()):  # From here nobody can tell.
        return False
    try:
        os.kill(int(process), 0)  # 0 is the group of this process.
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # Another user's.
    return False


@contextmanager
def _ending_with_snakemake() -> Iterator[None]:
    """End this process at once if its Snakemake ends before the work does, or has ended already."""
    done = threading.Event()

    def watch() -> None:
        while not snakemake_has_ended():
            if done.wait(LOOK_SECONDS):
                return
        log.error("Error: the Snakemake of this job has ended.")
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _interrupted(*_: object) -> NoReturn:
    """End as any job that fails: what is half-written is removed, and no traceback is shown."""
    log.error("Error: interrupted.")
    raise SystemExit(1)


def begin_record(snakemake: Any) -> JobRecord:
    """Return the record of a job that begins."""
    params = dict(snakemake.params.items())
    del params["code"]  # The record has it with the files behind it.
    rule = rule_of(snakemake.output.record)  # Another workflow may have given the rule a name of its own.
    return JobRecord(
        rule=rule,
        script=script_of(rule),
        wildcards=dict(snakemake.wildcards.items()),
        software=params.pop("software"),
        params=params,
        inputs=list(snakemake.input),
    )


class PublicLog(io.TextIOWrapper):
    """A log file, to which whatever is written comes without secrets: libraries log and print addresses, too."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(open(path, "ab"), encoding="utf-8", line_buffering=True)  # noqa: SIM115 - closed with it

    def write(self, text: str) -> int:
        """Append a text, which is seldom cut within a word."""
        super().write(public(text))
        return len(text)


@contextmanager
def logging_to(path: str | Path, level: str) -> Iterator[None]:
    """Append all that is logged or printed, by libraries written in C too, to a file."""
    kept = (sys.stdout, sys.stderr, os.dup(1), os.dup(2))
    with PublicLog(path) as stream:
        sys.stdout = sys.stderr = stream
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        logging.basicConfig(stream=stream, level=level, format=LOG_LINE, datefmt=LOG_DATE, force=True)
        logging.captureWarnings(True)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = kept[:2]
            for number, descriptor in ((1, kept[2]), (2, kept[3])):
                os.dup2(descriptor, number)
                os.close(descriptor)
