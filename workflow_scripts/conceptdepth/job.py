"""What every script does around its work: log to the job's file, and report errors to a person."""

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conceptdepth.errors import UserError

log = logging.getLogger("conceptdepth")


@contextmanager
def job(snakemake: Any) -> Iterator[None]:
    """Run a script's work with its log file as standard output and error.

    Everything that libraries print goes to the log, progress bars included. A `UserError` ends the job
    with its one sentence; any other exception leaves its traceback in the log.
    """
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", buffering=1) as stream:
        sys.stdout = sys.stderr = stream
        # Libraries written in C write to the descriptors, not to sys.stderr.
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        logging.basicConfig(
            stream=stream,
            level=snakemake.config["execution"]["log_level"],
            format="%(asctime)s %(message)s",
            datefmt="%H:%M:%S",
            force=True,
        )
        logging.captureWarnings(True)
        try:
            yield
        except UserError as error:
            log.error("Error: %s", error)
            raise SystemExit(1) from None
        except Exception:
            log.error(traceback.format_exc())
            raise SystemExit(1) from None


@contextmanager
def complete_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to; it becomes ``path`` only if the block succeeds."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.part")
    try:
        yield temporary
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)
