"""The table of gpu.py, written anew after each row."""

import csv
from pathlib import Path
from typing import Any

COLUMNS = {
    "shape": "shape", "format": "format", "workload": "workload", "tool": "tool", "pass_tokens": "tokens a pass",
    "prompts": "prompts", "seconds": "s", "first": "first, s", "prompts_per_second": "prompts/s", "computed": "tokens",
    "padded": "padding", "of_gemm": "of GEMM", "mb_per_second": "MB/s", "peak_gb": "peak GB", "error": "error",
    "worst_layer": "worst layer",
}  # fmt: skip
"""Columns of rows.csv, and what the table calls them."""


class Table:
    """The rows so far, in files that are whole after each of them."""

    def __init__(self, folder: Path, head: str) -> None:
        self._folder, self._head = folder, head
        self._rows: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row and write both files."""
        self._rows.append(row)
        with open(self._folder / "rows.csv", "w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(COLUMNS))
            writer.writeheader()
            writer.writerows(self._rows)
        (self._folder / "table.md").write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """Return the rows as a Markdown table."""
        lines = [
            self._head,
            "Where prompts are `some of all`, time and tokens of all are reckoned from those of some.",
            "",
            f"| {' | '.join(COLUMNS.values())} |",
            "| --- " * len(COLUMNS) + "|",
        ]
        lines += [f"| {' | '.join(short(row[column], column) for column in COLUMNS)} |" for row in self._rows]
        return "\n".join(lines) + "\n"


def short(value: Any, column: str) -> str:
    """Return a value as the table shows it."""
    if not isinstance(value, float):
        return str(value)
    formats = {"of_gemm": ".1%", "error": ".1e", "worst_layer": ".1e", "seconds": ".3f", "first": ".3f"}
    return format(value, formats.get(column, ".1f"))
