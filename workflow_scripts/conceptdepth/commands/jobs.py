"""List the SLURM jobs of this folder: those that run, and those that a Snakemake that died has left in the queue."""

import subprocess
import time
from pathlib import Path

from rich.table import Table

from conceptdepth.commands.screen import plain_table, screen
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.text import counted

FIELDS = {"job": "%i", "state": "%T", "time": "%M", "partition": "%P", "what": "%k"}
"""Column -> format of squeue."""

SEPARATOR = "\x1f"
"""Stands in no comment."""


def run(*, wait: bool, cancel: bool, seconds: float) -> int:
    """List the jobs; cancel them, or wait for their end and look every so many seconds, if asked to."""
    console = screen()
    jobs = jobs_of(Path.cwd())
    console.print(table(jobs) if jobs else "No job of this folder is in the queue.")
    if cancel and jobs:
        slurm("scancel", *(job["job"] for job in jobs))
        console.print(f"Cancelled {counted(len(jobs), 'job')}.")
    while wait and jobs:
        time.sleep(seconds)
        jobs = jobs_of(Path.cwd())
    return 0


def jobs_of(folder: Path) -> list[dict[str, str]]:
    """Return the current user's jobs, running or waiting, that were submitted from a folder."""
    lines = slurm("squeue", "--me", "--noheader", "--format", SEPARATOR.join(["%Z", *FIELDS.values()])).splitlines()
    rows = [line.split(SEPARATOR) for line in lines]
    return [dict(zip(FIELDS, fields)) for place, *fields in rows if Path(place) == folder]


def table(jobs: list[dict[str, str]]) -> Table:
    """Return the jobs as a table."""
    shown = plain_table(*FIELDS)
    for job in jobs:
        shown.add_row(*job.values())
    return shown


def slurm(*words: str) -> str:
    """Return what a command of SLURM prints. Raises `UserError` if there is none, or with what it complains of."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise UserError(f"there is no {words[0]} here: this is not a login node of a SLURM cluster.") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"{words[0]} says: {error.stderr.strip() or error.returncode}") from None
