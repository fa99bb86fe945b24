"""From the bytes of a source to labelled statements.

A dataset is a registry entry (``config/datasets.yaml``). Its rows come from a table (CSV, TSV, JSON, JSON
Lines, Parquet) whose columns the entry names, from a parser, or from a generator. Each row becomes a
statement: ``{"id": str, "text": str, "label": 0 or 1, "group": str}``. Statements that share a group
belong together (the true and the false claim about one city) and must not be split between training and test.
Rows without a group are groups of their own; those with the same text share one.

A dataset may name a span of each text, such as the city that a claim is about: its statements then have ``"span": str``
too, which stands in the text, and of which the first occurrence counts.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from conceptdepth.datasets import generators, parsers
from conceptdepth.datasets.cells import class_of, is_missing, name_of, span_of, text_of
from conceptdepth.datasets.generators import GENERATORS, Row
from conceptdepth.datasets.parsers import PARSERS
from conceptdepth.datasets.tables import Columns, Rows, parts, read_table
from conceptdepth.ground.errors import UserError, explained

log = logging.getLogger(__name__)

Statement = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """The rows of a dataset, and what to call their cells."""

    name: str
    """Of the file, or of what makes them."""
    unit: str
    """What the numbers of rows count, ``line`` or ``row``."""
    columns: Columns
    """Which column, or columns, each thing comes from: a text, a label; perhaps an id, a group, a span."""
    rows: Rows
    """By their columns."""

    def read(self, number: int, row: Row, key: str, reading: Callable[..., Any]) -> Any:
        """Return what ``reading`` makes of the cell of a row, or of several. Raises `UserError` with their place."""
        columns = parts(self.columns[key])
        try:
            return reading(*map(row.get, columns))
        except UserError as error:
            raise UserError(f"{self.name}, {self.unit} {number}, column {', '.join(columns)}: {error}.") from None


def load_statements(name: str, entry: Mapping[str, Any], path: str | Path | None) -> list[Statement]:
    """Read, label, filter and cap the statements of one dataset, in the order of its source.

    ``path`` is the fetched file, or None for a generator. Raises `UserError` for a file that cannot be read as the
    entry says, a row without a text, a label, an id or, where it must have one, a group or a span, a span that does not
    stand in its text, a repeated id or an empty class.
    """
    try:
        source = _source(entry, path)
        short = (s for s in _statements(source, entry) if _short_enough(s, entry))
        kept = _capped(short, entry.get("max_per_class"))
        _check(entry, kept)
    except UserError as error:
        raise UserError(f"datasets.{name}: {error}") from None
    return _grouped(source, kept)


def names_spans(entry: Mapping[str, Any]) -> bool:
    """Tell whether the statements of an entry will have spans."""
    if "generator" in entry["source"]:
        return entry["source"]["generator"] in generators.WITH_SPANS
    if "parser" in entry:
        return entry["parser"]["name"] in parsers.WITH_SPANS
    return "span" in entry["columns"]


def _source(entry: Mapping[str, Any], path: str | Path | None) -> Source:
    if "generator" in entry["source"]:
        generator, options = _chosen(entry["source"], "generator")
        with explained(f"the generator {generator!r} makes no rows of the options that it is given"):
            return _roles(f"the generator {generator!r}", list(GENERATORS[generator](**options)))
    assert path is not None
    if "parser" in entry:
        parser, options = _chosen(entry["parser"], "name")
        with explained(f"{path} is not what the parser {parser!r} reads"):
            return _roles(str(path), list(PARSERS[parser](path, **options)))
    table = read_table(path, entry["table"], entry["columns"])
    return Source(str(path), table.unit, entry["columns"], table.rows)


def _roles(name: str, rows: Sequence[Row]) -> Source:
    """Return rows whose keys say what each is for."""
    return Source(name, "row", {key: key for row in rows[:1] for key in row}, list(enumerate(rows, 1)))


def _chosen(section: Mapping[str, Any], key: str) -> tuple[str, dict[str, Any]]:
    return section[key], {option: value for option, value in section.items() if option != key}


def _statements(source: Source, entry: Mapping[str, Any]) -> Iterator[Statement]:
    """Yield the statements of both classes; the group of one that has none is None."""
    label_of = partial(class_of, classes=entry["classes"], drop=entry.get("drop", []))
    own_group = partial(_group_of, refuse=entry.get("missing_group") == "refuse")
    for place, (number, row) in enumerate(source.rows):
        label = source.read(number, row, "label", label_of)
        if label is None:
            continue
        text = source.read(number, row, "text", text_of)
        statement = {
            "id": source.read(number, row, "id", name_of) if "id" in source.columns else str(place),
            "text": text,
            "label": label,
            "group": source.read(number, row, "group", own_group) if "group" in source.columns else None,
        }
        if "span" in source.columns:
            statement["span"] = source.read(number, row, "span", partial(span_of, text=text))
        yield statement


def _group_of(*cells: Any, refuse: bool) -> str | None:
    """Return the group that the cells of a row name together, None if one is missing."""
    if not any(map(is_missing, cells)):
        return " | ".join(map(name_of, cells))
    if refuse:
        raise UserError("the group is missing; with `missing_group: alone` the row would be a group of its own")
    return None


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


def _grouped(source: Source, statements: list[Statement]) -> list[Statement]:
    """Give statements without a group that of the first with the same text, whose id names it."""
    alone = [statement for statement in statements if statement["group"] is None]
    mark = ""
    if alone and "group" in source.columns:
        mark = " (no group)"  # An id may be the name of another row's group.
        said = "%s: %d of %d statements have no group; each is one of its own, with those of the same text"
        log.info(said, source.name, len(alone), len(statements))
    first: dict[str, str] = {}
    for statement in alone:
        statement["group"] = first.setdefault(statement["text"], statement["id"] + mark)
    return statements


def _check(entry: Mapping[str, Any], statements: list[Statement]) -> None:
    for identity, count in Counter(s["id"] for s in statements).most_common(1):
        if count > 1:
            raise UserError(f"the id {identity!r} stands {count} times; ids must be unique.")
    sizes = Counter(s["label"] for s in statements)
    for number, cls in enumerate(entry["classes"]):
        if not sizes[number]:
            raise UserError(
                f"no row is in class {number} ({cls['name']}); check `columns.label`, `classes` and `max_words`."
            )
