"""Comparing what a job is about to read with what the jobs before it wrote, by their records."""

from collections.abc import Mapping, Sequence
from typing import Any

from conceptdepth.ground.errors import UserError
from conceptdepth.provenance.record import RecordContent, is_whole

Described = Mapping[str, Any]
"""Path, bytes and sha256 of a file."""


def compare_inputs(inputs: Sequence[Described], upstream: Mapping[str, RecordContent]) -> None:
    """Compare the files that a job reads with the records of the jobs that wrote them, by path.

    Raises `UserError` if a file is not what was written, or if a record was edited. Files that no record names are the
    user's own.
    """
    written: dict[str, tuple[str, Described]] = {}
    for path, record in upstream.items():
        if not is_whole(record):
            raise UserError(
                f"{path} was edited or damaged: its seal does not fit its content; delete it and run again."
            )
        written |= {output["path"]: (path, output) for output in record["outputs"]}
    changed = [now for now in inputs if now["path"] in written and not _same(now, written[now["path"]][1])]
    if changed:
        raise _changed(changed[0], *written[changed[0]["path"]], others=len(changed) - 1)


def _same(one: Described, other: Described) -> bool:
    return all(one[key] == other[key] for key in ("bytes", "sha256"))


def _changed(now: Described, record: str, then: Described, *, others: int) -> UserError:
    path = now["path"]
    more = f" (and {others} more of this job's inputs)" if others else ""
    return UserError(
        f"{path}{more} is not what {record} says was written: it has {_words(now)}, and had {_words(then)}; "
        f"delete {path} and run again to have it made anew (`conceptdepth audit --all` tells what else was changed)."
    )


def _words(described: Described) -> str:
    return f"{described['bytes']} bytes with the sha256 {described['sha256'][:12]}"
