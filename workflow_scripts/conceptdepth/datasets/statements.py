"""From the bytes of a source to labelled statements.

A dataset is a registry entry (``config/datasets.yaml``). Its rows come from a table (CSV, TSV, JSON, JSON
Lines, Parquet) whose columns the entry names, from a parser, or from a generator. Each row becomes a
statement: ``{"id": str, "text": str, "label": 0 or 1, "group": str}``. Statements that share a group
belong together (the true and the false claim about one city) and must not be split between training and test.
Where the rows have no groups, those with the same text share one.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from conceptdepth.datasets.generators import GENERATORS, Row
from conceptdepth.datasets.parsers import PARSERS
from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.ground.jsonl import read_jsonl

Statement = dict[str, Any]


def load_statements(name: str, entry: Mapping[str, Any], source: str | Path | None) -> list[Statement]:
    """Read, label, filter and cap the statements of one dataset, in the order of its source.

    ``source`` is the fetched file, or None for a generator. Raises `UserError` for a missing column, an
    unknown label, an empty text, a repeated id or an empty class.
    """
    rows = _rows(name, entry, source)
    statements = [_statement(name, entry, number, row) for number, row in enumerate(rows)]
    kept = _capped(
        (s for s in statements if s["label"] is not None and _short_enough(s, entry)), entry.get("max_per_class")
    )
    _check(name, entry, kept)
    return _grouped(kept)


def _rows(name: str, entry: Mapping[str, Any], source: str | Path | None) -> Iterable[Row]:
    if "generator" in entry["source"]:
        options = {key: value for key, value in entry["source"].items() if key != "generator"}
        return GENERATORS[entry["source"]["generator"]](**options)
    assert source is not None
    if "parser" in entry:
        options = {key: value for key, value in entry["parser"].items() if key != "name"}
        return PARSERS[entry["parser"]["name"]](source, **options)
    rows = read_table(source, entry["table"])
    return _renamed(name, rows, entry["columns"])


def read_table(path: str | Path, table: Mapping[str, Any]) -> list[Row]:
    """Read a table as rows of strings (CSV, TSV) or of typed values (the others), as the entry's ``table`` says."""
    form = table["format"]
    if form == "jsonl":
        return read_jsonl(path)
    if form == "json":
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return content[table["records"]] if "records" in table else content
    import pandas as pd  # Takes half a second, which a Snakefile without local tables saves.

    if form == "parquet":
        return pd.read_parquet(path, engine="pyarrow").to_dict("records")  # type: ignore[return-value]
    frame = pd.read_csv(
        path,
        sep={"csv": ",", "tsv": "\t"}[form],
        dtype=str,
        keep_default_na=False,
        names=table.get("header"),
        quoting=csv.QUOTE_MINIMAL if table.get("quoted", True) else csv.QUOTE_NONE,
        encoding="utf-8",
    )
    return frame.to_dict("records")  # type: ignore[return-value]


def _renamed(name: str, rows: list[Row], columns: Mapping[str, str | list[str]]) -> Iterable[Row]:
    for role, column in columns.items():
        for part in _parts(column):
            if rows and part not in rows[0]:
                raise UserError(
                    f"datasets.{name}.columns.{role}: the source has no column {part!r}; it has: {one_of(rows[0])}."
                )
    return ({role: _cell(row, column) for role, column in columns.items()} for row in rows)


def _parts(column: str | list[str]) -> list[str]:
    return [column] if isinstance(column, str) else column


def _cell(row: Row, column: str | list[str]) -> Any:
    """Return the value of a column; those of several columns are joined."""
    return row[column] if isinstance(column, str) else " | ".join(str(row[part]) for part in column)


def _statement(name: str, entry: Mapping[str, Any], number: int, row: Row) -> Statement:
    """Give a row its class; ``label`` is None for a value that the registry says to drop."""
    identity = str(row.get("id", number))
    return {
        "id": identity,
        "text": str(row["text"]),
        "label": _class_of(row["label"], entry, f"datasets.{name}: row {identity!r}"),
        "group": str(row["group"]) if "group" in row else None,
    }


def _class_of(value: Any, entry: Mapping[str, Any], where: str) -> int | None:
    for number, cls in enumerate(entry["classes"]):
        if "values" in cls and str(value) in map(str, cls["values"]):
            return number
        if "at_least" in cls and float(value) >= cls["at_least"]:
            return number
        if "at_most" in cls and float(value) <= cls["at_most"]:
            return number
    if any("values" not in cls for cls in entry["classes"]) or str(value) in map(str, entry.get("drop", [])):
        return None
    known = [v for cls in entry["classes"] for v in cls["values"]]
    raise UserError(f"{where} has the label {value!r}; allowed are {one_of(known)}; list others under `drop`.")


def _short_enough(statement: Statement, entry: Mapping[str, Any]) -> bool:
    return len(statement["text"].split()) <= entry.get("max_words", float("inf"))


def _capped(statements: Iterable[Statement], max_per_class: int | None) -> list[Statement]:
    """Keep the first ``max_per_class`` statements of each class, in order."""
    seen: Counter[int] = Counter()
    kept = []
    for statement in statements:
        seen[statement["label"]] += 1
        if max_per_class is None or seen[statement["label"]] <= max_per_class:
            kept.append(statement)
    return kept


def _grouped(statements: list[Statement]) -> list[Statement]:
    """Give statements without a group that of the first with the same text, whose id names it."""
    first: dict[str, str] = {}
    for statement in statements:
        if statement["group"] is None:
            statement["group"] = first.setdefault(statement["text"], statement["id"])
    return statements


def _check(name: str, entry: Mapping[str, Any], statements: list[Statement]) -> None:
    for identity, count in Counter(s["id"] for s in statements).most_common(1):
        if count > 1:
            raise UserError(f"datasets.{name}: the id {identity!r} stands {count} times; ids must be unique.")
    for statement in statements:
        if not statement["text"].strip():
            raise UserError(f"datasets.{name}: row {statement['id']!r} has an empty text.")
    sizes = Counter(s["label"] for s in statements)
    for number, cls in enumerate(entry["classes"]):
        if not sizes[number]:
            raise UserError(
                f"datasets.{name}: no row is in class {number} ({cls['name']}); "
                "check `columns.label`, `classes` and `max_words`."
            )
