"""List the SLURM jobs of this folder: those that run, and those that a Snakemake that died has left in the queue.

python workflow_scripts/slurm_jobs.py [--wait | --cancel]
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from conceptdepth.ground.errors import UserError
from conceptdepth.provenance.chain import counted
from rich.console import Console
from rich.table import Table

FIELDS = {"job": "%i", "state": "%T", "time": "%M", "partition": "%P", "what": "%k"}
"""Column -> format of squeue."""

SEPARATOR = "\x1f"
"""Stands in no comment."""


def main(arguments: list[str]) -> int:
    """List the jobs; wait for their end, or cancel them, if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--wait", action="store_true", help="return when none of them is left")
    group.add_argument("--cancel", action="store_true", help="cancel them")
    parser.add_argument("--seconds", type=float, default=30, help="between two looks at the queue (30)")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    try:
        jobs = jobs_of(Path.cwd())
        console.print(table(jobs) if jobs else "No job of this folder is in the queue.")
        if options.cancel and jobs:
            slurm("scancel", *(job["job"] for job in jobs))
            console.print(f"Cancelled {counted(len(jobs), 'job')}.")
        while options.wait and jobs:
            time.sleep(options.seconds)
            jobs = jobs_of(Path.cwd())
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def jobs_of(folder: Path) -> list[dict[str, str]]:
    """Return the current user's jobs, running or waiting, that were submitted from a folder."""
    lines = slurm("squeue", "--me", "--noheader", "--format", SEPARATOR.join(["%Z", *FIELDS.values()])).splitlines()
    rows = [line.split(SEPARATOR) for line in lines]
    return [dict(zip(FIELDS, fields)) for place, *fields in rows if Path(place) == folder]


def table(jobs: list[dict[str, str]]) -> Table:
    """Return the jobs as a table."""
    shown = Table(*FIELDS, box=None, pad_edge=False)
    for job in jobs:
        shown.add_row(*job.values())
    return shown


def slurm(*words: str) -> str:
    """Return what a command of SLURM prints. Raises `UserError` if there is none, or with what it complains of."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise UserError(f"there is no {words[0]} here: this is no login node of a SLURM cluster.") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"{words[0]} says: {error.stderr.strip() or error.returncode}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
