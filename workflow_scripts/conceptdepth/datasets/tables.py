"""Tables that users bring: CSV, TSV, JSON, JSON Lines and Parquet, read as they say or not at all."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from conceptdepth.datasets.contents import read_content, read_text
from conceptdepth.datasets.generators import Row
from conceptdepth.ground.errors import UserError, explained, one_of
from conceptdepth.ground.text import counted

Columns = Mapping[str, str | Sequence[str]]
"""Which column, or columns, each thing comes from: ``{"text": "claim", "group": ["city", "year"]}``."""

Rows = list[tuple[int, Row]]
"""Rows with their numbers, from 1: of rows, or of the lines where they begin."""


@dataclass(frozen=True)
class Table:
    """The rows of a file."""

    unit: str
    """What the numbers of rows count, ``line`` or ``row``."""
    rows: Rows


def read_table(path: str | Path, table: Mapping[str, Any], columns: Columns) -> Table:
    """Read a table as rows of strings (CSV, TSV) or of typed values (the others), as the entry's ``table`` says.

    Raises `UserError` for a file that is not what ``table`` says, has no rows, lacks one of ``columns``, or has two of
    its name.
    """
    unit, read = FORMATS[table["format"]]
    names, rows = read(path, table, {part for column in columns.values() for part in parts(column)})
    for number, row in rows:
        if not isinstance(row, dict):
            raise UserError(f"{path}, {unit} {number} is no object with a value for each column.")
    if not rows:
        raise UserError(f"{path} has no rows.")
    found = Counter(names or list(dict.fromkeys(key for _, row in rows for key in row)))
    for role, column in columns.items():
        for part in parts(column):
            if not found[part]:
                known = shorten(one_of(map(_printable, found)), 300, placeholder=" ...")
                raise UserError(f"columns.{role}: {path} has no column {part!r}; it has: {known}.")
            if found[part] > 1:
                raise UserError(f"columns.{role}: {path} has {found[part]} columns {part!r}; rename one.")
    return Table(unit, rows)


def parts(column: str | Sequence[str]) -> Sequence[str]:
    """Return the columns that an entry names, one or several."""
    return [column] if isinstance(column, str) else column


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _read_delimited(path: str | Path, table: Mapping[str, Any], wanted: Set[str]) -> tuple[list[str], Rows]:
    header = table.get("header", [])
    rows: Rows = []
    for line, record in _records(path, table):
        if not header:
            header = [part or f"Unnamed: {place}" for place, part in enumerate(record)]
        elif len(record) == len(header):
            rows.append((line, dict(zip(header, record))))
        else:
            found = f"{path}, line {line} has {counted(len(record), 'field')}, but the header has {len(header)}"
            advice = "; one with the delimiter or a line end in it needs double quotes around it"
            raise UserError(found + (advice if table.get("quoted", True) else "") + ".")
    return header, rows


def _records(path: str | Path, table: Mapping[str, Any]) -> Iterator[tuple[int, list[str]]]:
    """Yield what is no blank line, cut into fields, with the line where it begins."""
    # An empty line more gives an empty record, unless a quote is open.
    lines = [*io.StringIO(read_text(path), newline=""), ""]
    form: dict[str, Any] = {
        "delimiter": DELIMITERS[table["format"]],
        "quoting": csv.QUOTE_MINIMAL if table.get("quoted", True) else csv.QUOTE_NONE,
    }
    csv.field_size_limit(2**31 - 1)  # A text may be as long as it likes.
    records = csv.reader(lines, **form)
    start = 1
    for record in records:
        if record and records.line_num == len(lines):
            raise UserError(f"{path}, line {start}: a double quote opens and never closes; see `table.quoted`.")
        if records.line_num > start:
            _check_quotes(f"{path}, line {start}", lines[start - 1 : records.line_num], form)
        if len(record) > 1 or "".join(record).strip():
            yield start, record
        start = records.line_num + 1


def _check_quotes(where: str, lines: Sequence[str], form: Mapping[str, Any]) -> None:
    """Raise `UserError` if what stands on several lines is not one row, but rows whose quotes do not close."""
    try:
        list(csv.reader(lines, strict=True, **form))
    except csv.Error:
        raise UserError(
            f"{where}: a double quote opens and closes {counted(len(lines) - 1, 'line')} further down, inside a field; "
            "see `table.quoted`."
        ) from None


def _read_json_lines(path: str | Path, table: Mapping[str, Any], wanted: Set[str]) -> tuple[list[str], Rows]:
    # Only line feeds end a row: texts may hold other Unicode line ends.
    lines = enumerate(read_text(path).split("\n"), 1)
    return [], [(number, _json(line, f"{path}, line {number}")) for number, line in lines if line.strip()]


def _read_json(path: str | Path, table: Mapping[str, Any], wanted: Set[str]) -> tuple[list[str], Rows]:
    content = _json(read_text(path), str(path))
    if (key := table.get("records")) is not None:
        if not isinstance(content, dict) or key not in content:
            raise UserError(f"{path} has no {key!r}, which `table.records` names.")
        content = content[key]
    if not isinstance(content, list):
        raise UserError(f"{path} is no list of rows; `table.records` names the key that holds one.")
    return [], list(enumerate(content, 1))


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        why = f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else error
        raise UserError(f"{where} is no JSON ({why}).") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Raises `ValueError` if a key stands in it twice, of which JSON keeps the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {key!r} stands twice in an object")
    return found


def _read_parquet(path: str | Path, table: Mapping[str, Any], wanted: Set[str]) -> tuple[list[str], Rows]:
    content = read_content(path)
    import pyarrow  # Takes a quarter of a second, which a Snakefile without such tables saves.
    from pyarrow import parquet

    with explained(f"{path} is no Parquet file that can be read"):
        file = parquet.ParquetFile(pyarrow.BufferReader(content))
        names = file.schema_arrow.names
        # Not all: what Python cannot hold, such as a time far away, may stand in a column that nobody asked for.
        found = file.read(columns=[name for name in dict.fromkeys(names) if name in wanted])
        return names, list(enumerate(found.to_pylist(), 1))


DELIMITERS = {"csv": ",", "tsv": "\t"}

Reader = Callable[[str | Path, Mapping[str, Any], Set[str]], tuple[list[str], Rows]]
"""Path, the entry's ``table``, columns that are read -> names of columns (none if each row has its own), rows."""

FORMATS: dict[str, tuple[str, Reader]] = {
    "csv": ("line", _read_delimited),
    "tsv": ("line", _read_delimited),
    "json": ("row", _read_json),
    "jsonl": ("line", _read_json_lines),
    "parquet": ("row", _read_parquet),
}
"""Format -> what its rows are counted in, and what reads it."""
