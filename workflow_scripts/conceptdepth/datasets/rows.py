"""The files of statements and of prompts that jobs wrote, row by row and looked at: they may be damaged.

JSON Lines, one object a line: a statement has ``id``, ``text``, ``label`` and ``group``, a prompt has ``prompt`` in the
place of ``text``. All are strings but the label, 0 or 1. Statements have a ``span`` too, a part of the text, if their
dataset names one; prompts have ``text_at`` and, with a span, ``span_at``, see `conceptdepth.datasets.prompts.render`.
All rows of a file have the same of these.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.shapes import fits

Row = dict[str, Any]

PLACES = {"text": ("span",), "prompt": ("text_at", "span_at")}
"""Fields that all rows of a file have or none, by the field of what they are places of."""


def read_statements(path: str | Path) -> list[Row]:
    """Read a file of statements. Raises `UserError` if it is damaged."""
    return _read(path, "text")


def read_prompts(path: str | Path) -> list[Row]:
    """Read a file of prompts. Raises `UserError` if it is damaged, or of a version that did not write ``text_at``."""
    rows = _read(path, "prompt")
    if "text_at" not in rows[0]:
        raise UserError(
            f"{path} is of an older version: it does not say where the texts stand; delete it and run again."
        )
    return rows


def _read(path: str | Path, text: str) -> list[Row]:
    # Only line feeds end a row: texts may hold other Unicode line ends.
    lines = Path(path).read_bytes().split(b"\n")
    rows = [_row(line, ("id", text, "group")) for line in lines if line.strip()]
    if not rows or None in rows:
        where = f"row {rows.index(None) + 1} is no object with id, {text}, label and group" if rows else "it is empty"
        raise UserError(f"{path} is damaged: {where}; delete it and run again.")
    found = [row for row in rows if row is not None]
    for number, row in enumerate(found, 1):
        for name in PLACES[text]:
            if (name in row) != (name in found[0]) or (name in row and not _stands(row, name)):
                where = f"in row {number}, {name} does not fit the {text} or the rows before"
                raise UserError(f"{path} is damaged: {where}; delete it and run again.")
    return found


def _stands(row: Row, name: str) -> bool:
    """Tell whether a span stands in its text, or a place in what it is a place of."""
    place = row[name]
    if name == "span":
        return isinstance(place, str) and place != "" and place in row["text"]
    first, end = row["text_at"] if name == "span_at" and "text_at" in row else (0, len(row["prompt"]))
    return fits(place, [int]) and len(place) == 2 and first <= place[0] < place[1] <= end


def _row(line: bytes, strings: Sequence[str]) -> Row | None:
    """Return a row, or None if it is none: not JSON, or of other fields, or of what files cannot hold."""
    try:
        row = json.loads(line)
        if fits(row, {"label": int} | dict.fromkeys(strings, str)) and row["label"] in (0, 1):
            return row if b"\0" not in b"".join(row[name].encode() for name in strings) else None
    except (ValueError, RecursionError):
        pass
    return None
