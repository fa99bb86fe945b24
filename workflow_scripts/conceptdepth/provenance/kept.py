"""Finished cells survive when another cell of their group fails.

On a cluster all cells of a model in a weight format travel as one job, and if one of them fails, or the time is up,
Snakemake deletes the outputs of all. So each finished cell gets a second name, a hard link that Snakemake does not
know, with the id of its record in it. The next attempt at the same job on the same bytes takes it back instead of
computing it, if it is still what was kept. The links are removed when the last cell of the group is done.
"""

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from conceptdepth.ground.files import complete_file
from conceptdepth.ground.shapes import json_of_shape
from conceptdepth.provenance.record import describe, sealed

log = logging.getLogger(__name__)


def keep(written: Mapping[str, Any], record: str, facts: Mapping[str, Any]) -> None:
    """Give a finished file its second name, with facts of the process that made it, and remove its older links.

    ``written`` are path, bytes and sha256 of the file. Does nothing on a file system without hard links.
    """
    path = Path(written["path"])
    release(path.parent, path.name)
    with suppress(OSError):
        with complete_file(_facts(path, record)) as part:
            part.write_text(json.dumps(sealed({"file": dict(written), "facts": dict(facts)})), encoding="utf-8")
        os.link(path, _link(path, record))


def take_back(path: str | Path, record: str) -> dict[str, Any] | None:
    """Restore a file that the same job made before, and return its facts; None if there is none.

    One that is not what was kept is dropped.
    """
    path = Path(path)
    link = _link(path, record)
    if not link.is_file():
        return None
    kept = json_of_shape(_facts(path, record), {"file": dict, "facts": dict})
    if kept is None or kept != sealed(kept) or describe(link) | {"path": str(path)} != kept["file"]:
        log.warning("%s is dropped: it is not what was kept", link)
        release(path.parent, path.name)
        return None
    path.unlink(missing_ok=True)
    try:
        os.link(link, path)
    except OSError:  # Its computation would find out why.
        return None
    return kept["facts"]


def release(folder: Path, name: str = "*") -> None:
    """Remove the second names of a file, or of all files in a folder."""
    for link in folder.glob(f".{name}.*.kept*"):
        link.unlink(missing_ok=True)


def _link(path: Path, record: str) -> Path:
    return path.with_name(f".{path.name}.{record[:16]}.kept")


def _facts(path: Path, record: str) -> Path:
    return path.with_name(f".{path.name}.{record[:16]}.kept.json")
