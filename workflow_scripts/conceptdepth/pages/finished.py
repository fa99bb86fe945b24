"""What the records of a finished run say of it: how long it took, what the audit found, which files are not of it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import file_sha256
from conceptdepth.ground.text import counted
from conceptdepth.provenance.record import RECORDS, RecordContent, read_record

AUDIT = RECORDS / "audit_results.json"
"""The record that names the records and results of the run, and no others."""

SHOWN = ("figures", "tables")
"""Folders of ``results/`` in which people look, and in which files of several runs may lie."""

PAUSE_SECONDS = 300
"""A longer time without a job, and jobs are said to be of more than one run."""

_VERDICT = re.compile('<meta name="conceptdepth-verdict" content="([a-z ]+)(?:; ([^"<>]+))?">')


@dataclass(frozen=True)
class Verdict:
    """What the page of an audit says of the whole run."""

    verdict: str
    """One of those of `conceptdepth.provenance.findings`."""
    checked: str
    """How much was checked, in words."""


@dataclass(frozen=True)
class Duration:
    """How long jobs took."""

    jobs: int
    wall: float
    """Seconds from the start of the first to the end of the last."""
    work: float
    """Seconds of all of them, one after the other."""
    pauses: int
    """How often no job ran for more than `PAUSE_SECONDS`."""


def verdict_of(page: str | Path) -> Verdict:
    """Read what `audit_results` found in the page that it wrote. Raises `UserError` if that does not say."""
    found = _VERDICT.search(Path(page).read_text(encoding="utf-8"))
    if found is None:
        raise UserError(f"{page} has no verdict of an audit; delete it and run again.")
    return Verdict(found[1], found[2] or "")


def jobs_of_run(folder: Path = Path()) -> list[RecordContent]:
    """Return the records of all jobs behind the results of the run in a folder, but not that of the audit itself."""
    return [read_record(folder / upstream["path"]) for upstream in read_record(folder / AUDIT)["upstream"]]


def duration(jobs: Sequence[RecordContent]) -> Duration:
    """Return how long jobs took, of which there is at least one."""
    spans = sorted((datetime.fromisoformat(job["started"]), datetime.fromisoformat(job["ended"])) for job in jobs)
    first, last = spans[0]
    start, pauses = first, 0
    for begins, ends in spans[1:]:
        pauses += (begins - last).total_seconds() > PAUSE_SECONDS
        last = max(last, ends)
    return Duration(len(jobs), (last - start).total_seconds(), sum(job.get("seconds", 0) for job in jobs), pauses)


def in_words(took: Duration) -> str:
    """Say how long jobs took, and whether they are those of one run."""
    jobs = counted(took.jobs, "job")
    if took.pauses:
        return (
            f"{jobs} of more than one run, {lasting(took.work)} of work ({counted(took.pauses, 'pause')} of more "
            f"than {PAUSE_SECONDS // 60} minutes between first and last, {lasting(took.wall)} apart)"
        )
    return f"{jobs} in {lasting(took.wall)} ({lasting(took.work)} one after the other)"


def lasting(seconds: float) -> str:
    """Write a time in its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def results_of_run(folder: Path = Path()) -> list[str]:
    """Return the paths of the figures, tables and pages of the run in a folder: those that its audit looked at."""
    return [entry["path"] for entry in read_record(folder / AUDIT)["inputs"]]


def others(folder: Path, own: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the figures and tables in a folder that the run did not make: of earlier results, and of these.

    ``own`` are paths of files that it made. What was asked for by name (``snakemake answers``) is of these results if
    every record behind it is as it was read; what an earlier run left, and what has no record, is not.
    """
    own = set(own)
    found = (path for stage in SHOWN for path in sorted((folder / "results" / stage).rglob("*")))
    names = (path.relative_to(folder).as_posix() for path in found if path.is_file() and not path.name.startswith("."))
    strangers = [name for name in names if name not in own]
    if not strangers:
        return [], []
    records = _by_output(folder)
    fresh = [name for name in strangers if name in records and _stands(folder, records[name], set())]
    return [name for name in strangers if name not in fresh], fresh


def _by_output(folder: Path) -> dict[str, RecordContent]:
    """Return the records in the folder of records itself, where those of figures and tables are, by what they made."""
    found: dict[str, RecordContent] = {}
    for path in sorted((folder / RECORDS).glob("*.json")):
        record = read_record(path)
        found |= {output["path"]: record for output in record["outputs"]}
    return found


def _stands(folder: Path, record: RecordContent, seen: set[str]) -> bool:
    """Tell whether the records that a record was made from are those that are here now, back to the sources."""
    for upstream in record["upstream"]:
        path = upstream["path"]
        if path in seen:
            continue
        if not (folder / path).is_file() or file_sha256(folder / path) != upstream["sha256"]:
            return False
        seen.add(path)
        if not _stands(folder, read_record(folder / path), seen):
            return False
    return True
