"""Whether the folders of a run can be what they should be, said before any job runs."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from conceptdepth.ground.disk import ELSEWHERE
from conceptdepth.ground.errors import UserError

RESULTS = Path("results")

LEAST_ROOM = 1_000_000
"""Bytes that must be free on the disk of the results: what the smallest of runs writes."""


def check_project(folder: str | Path) -> None:
    """Raise `UserError` if Snakemake cannot work in the path of this workflow."""
    if {"{", "}"} & {*str(folder)}:
        raise UserError(
            f"{folder}: there is a brace in the path of this folder, which Snakemake takes for a wildcard; rename it."
        )


def check_results() -> None:
    """Raise `UserError` if nothing can be written to the results, in the folder that Snakemake works in.

    Who may not write into that folder only asks, and is not refused.
    """
    check_folders([RESULTS, Path(".snakemake")])
    if not os.access(".", os.W_OK):
        return
    existing = RESULTS if RESULTS.is_dir() else Path()
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{RESULTS} cannot be written: its disk is read-only or the folder is not yours; {ELSEWHERE}.")
    if shutil.disk_usage(existing).free < LEAST_ROOM:
        raise UserError(f"there is no room left on the disk of {RESULTS}; free some, or {ELSEWHERE}.")


def check_outputs(patterns: Iterable[str]) -> None:
    """Raise `UserError` if there is a file where one of these outputs has a folder, as far as it has no wildcards."""
    folders = {pattern.partition("{")[0].rpartition("/")[0] for pattern in patterns}
    check_folders({place for folder in folders for place in (Path(folder), *Path(folder).parents)})


def check_folders(folders: Iterable[Path]) -> None:
    """Raise `UserError` if one of these is there and no folder."""
    for folder in sorted(folders):
        if folder.is_symlink() and not folder.exists():
            raise UserError(
                f"{folder} is a link to nothing: there is no {folder.readlink()}; make it or remove the link."
            )
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file, and a folder of this name is needed; move the file away.")
