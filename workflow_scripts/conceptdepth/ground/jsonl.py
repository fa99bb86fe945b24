"""JSON Lines files: one object a line, UTF-8."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from conceptdepth.ground.files import complete_file


def write_jsonl(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as JSON Lines, complete or not at all."""
    with complete_file(path) as part, open(part, "w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
