"""The id of its record that a file carries in its own metadata."""

import mmap
import re
from pathlib import Path

from conceptdepth.provenance.record import PREFIX

CARRIERS = (".png", ".svg", ".html", ".md", ".h5")
"""Kinds of files that carry an id."""

_ID = re.compile(re.escape(PREFIX).encode() + rb"([0-9a-f]{64})")


def embedded_id(path: str | Path) -> str | None:
    """Return the id that a PNG, SVG, HDF5, HTML or Markdown file carries; None for other files.

    All of them hold it as plain text. It is looked for in the bytes, because what opens a file trusts its
    structure: the HDF5 library can hang on one with a single flipped byte.
    """
    if Path(path).suffix.lower() not in CARRIERS or not Path(path).stat().st_size:
        return None
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _ID.search(content)
        return found.group(1).decode() if found else None
