"""Write the table of all keys in config/README.md anew, from the schema and config/config.yaml."""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from conceptdepth.configuration.schema import MAIN, filled, schemas
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import ROOT

CONFIG = ROOT / "config"

BEGIN, END = "<!-- keys: written by `conceptdepth keys` -->\n", "<!-- end of keys -->\n"
"""What stands before and after the table in the page."""

HEAD = "| key | unless set | values | what |\n| --- | --- | --- | --- |\n"


def run() -> int:
    """Write the page."""
    page = CONFIG / "README.md"
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def renewed(page: str) -> str:
    """Return a page with the table as it is now between `BEGIN` and `END`."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"config/README.md has no lines {BEGIN.strip()} and {END.strip()} around its table.")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def table() -> str:
    """Return the table: a row for each section, and one for each key in it."""
    config = filled(yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8")))
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows(schemas()[MAIN], config))


class Row(NamedTuple):
    """A row of the table."""

    key: str
    unless_set: str
    values: str
    what: str


def rows(schema: Mapping[str, Any], config: Mapping[str, Any], where: str = "") -> Iterator[Row]:
    """Yield the rows of a section of the schema, with the values that ``config`` has."""
    for key, content in schema["properties"].items():
        name, what = f"`{where}{key}`", description(content)
        if "properties" in content:
            yield Row(f"**{name}**", "", "", what)
            yield from rows(content, config.get(key, {}), f"{where}{key}.")
        elif has_entries(content) and not where.endswith("<name>."):
            yield Row(f"**{name}**", entries_of(key, config), "", what)
            # Entries of models and datasets have schemas of their own; what a switch sets stands in its own section.
            if not where and "properties" in content["additionalProperties"]:
                yield from rows(content["additionalProperties"], {}, f"{where}{key}.<name>.")
        else:
            yield Row(name, code(config[key]) if key in config else "", values(content), what)


def has_entries(schema: Mapping[str, Any]) -> bool:
    """Tell whether a key holds mappings under names that a user chooses."""
    entries = schema.get("additionalProperties")
    return isinstance(entries, Mapping) and ("$ref" in entries or "properties" in entries)


def entries_of(key: str, config: Mapping[str, Any]) -> str:
    """Return the file that lists the entries of a mapping, or their names."""
    if (CONFIG / f"{key}.yaml").is_file():
        return f"[{key}.yaml]({key}.yaml)"
    return ", ".join(map(code, config[key]))


def description(schema: Mapping[str, Any]) -> str:
    """Return the description of a key with links to the pages of docs/."""
    return re.sub(r"\bdocs/\w+\.md\b", r"[\g<0>](../\g<0>)", schema["description"])


def values(schema: Mapping[str, Any]) -> str:
    """Say which values a schema allows."""
    schema = schemas()[MAIN]["$defs"][schema["$ref"].rpartition("/")[2]] | schema if "$ref" in schema else schema
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(values_of_type(name, schema) for name in types)


def values_of_type(name: str, schema: Mapping[str, Any]) -> str:
    """Say which values of a type a schema allows."""
    match name:
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "`null`"
        case "array":
            return f"list: {values(schema['items'])}"
        case "object" if "properties" in schema:
            return f"mapping of {', '.join(map(code, schema['properties']))}"
        case "object":
            return f"mapping to: {values(schema['additionalProperties'])}"
        case "string":
            pattern = schema.get("pattern", "")
            return f"`{pattern.strip('^$')}`" if pattern.strip("^$").isalpha() else "text"
    return " ".join([name, *(f"{word} {schema[key]:,}" for key, word in BOUNDS.items() if key in schema)])


BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}


def code(value: Any) -> str:
    """Return a value as it would stand in a file, set as code."""
    text = yaml.safe_dump(value, default_flow_style=True, width=sys.maxsize, allow_unicode=True, sort_keys=False)
    return f"`{text.removesuffix(chr(10)).removesuffix(chr(10) + '...')}`"
