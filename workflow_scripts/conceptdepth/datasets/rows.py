"""The files of statements and of prompts that jobs wrote, row by row and looked at: they may be damaged.

JSON Lines, one object a line: a statement has ``id``, ``text``, ``label`` and ``group``, a prompt has ``prompt`` in the
place of ``text``. All are strings but the label, 0 or 1.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.shapes import fits

Row = dict[str, Any]


def read_statements(path: str | Path) -> list[Row]:
    """Read a file of statements. Raises `UserError` if it is damaged."""
    return _read(path, "text")


def read_prompts(path: str | Path) -> list[Row]:
    """Read a file of prompts. Raises `UserError` if it is damaged."""
    return _read(path, "prompt")


def _read(path: str | Path, text: str) -> list[Row]:
    # Only line feeds end a row: texts may hold other Unicode line ends.
    lines = Path(path).read_bytes().split(b"\n")
    rows = [_row(line, ("id", text, "group")) for line in lines if line.strip()]
    if not rows or None in rows:
        where = f"row {rows.index(None) + 1} is no object with id, {text}, label and group" if rows else "it is empty"
        raise UserError(f"{path} is damaged: {where}; delete it and run again.")
    return [row for row in rows if row is not None]


def _row(line: bytes, strings: Sequence[str]) -> Row | None:
    """Return a row, or None if it is none: not JSON, or of other fields, or of what files cannot hold."""
    try:
        row = json.loads(line)
        if fits(row, {"label": int} | dict.fromkeys(strings, str)) and row["label"] in (0, 1):
            return row if b"\0" not in b"".join(row[name].encode() for name in strings) else None
    except (ValueError, RecursionError):
        pass
    return None
