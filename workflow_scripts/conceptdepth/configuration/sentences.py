"""What is wrong with a value of a configuration, in one sentence for a person."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import jsonschema
import yaml

from conceptdepth.ground.errors import one_of

LONGEST = 80
"""Characters of a value that are shown."""


def sentence(error: jsonschema.ValidationError) -> str:
    """Say in one sentence which key is wrong and what is allowed."""
    where = key_path(error.absolute_path)
    instance, value = error.instance, error.validator_value
    match error.validator:
        case "additionalProperties":
            allowed = list(error.schema["properties"])
            unknown = [key for key in instance if key not in allowed]
            unknown_key = quoted(unknown) + nearest(unknown[0], allowed)
            return f"{where}: unknown key {unknown_key}; allowed are {one_of(allowed)}."
        case "required":
            missing = [key for key in value if key not in instance]
            return f"{where}: {quoted(missing)} is missing."
        case "dependentRequired":
            key, needed = next((key, needs) for key, needs in value.items() if key in instance and needs)
            return f"{where}: {key!r} needs {quoted(name for name in needed if name not in instance)} beside it."
        case "enum":
            return f"{where}: {shown(instance)} does not exist{nearest(instance, value)}; allowed are {one_of(value)}."
        case "type":
            kinds = [value] if isinstance(value, str) else value
            return f"{where}: {shown(instance)} is not of type {' or '.join(kinds)}{_instead(instance, kinds)}."
        case "maxLength":
            return f"{where}: {shown(instance)} is too long; at most {value} characters are allowed."
        case "anyOf":
            ways = [" and ".join(way["required"]) for way in value]
            return f"{where}: one of these keys is needed: {'; '.join(ways)}."
        case "pattern" if "description" in error.schema:
            return f"{where}: {shown(instance)} does not match {value!r}: {error.schema['description']}"
    return f"{where}: {error.message.replace(repr(instance), shown(instance), 1)}."


def _instead(value: Any, kinds: Iterable[str]) -> str:
    """Say what to write instead of a text that looks like a number, or of an entry where a list is wanted."""
    if isinstance(value, str) and re.fullmatch(r"[-+.\d_]*\d[-+.\d_eE]*", value) and {*kinds} & {"number", "integer"}:
        return (
            "; it is text: in a file write the number out (YAML takes 1e3 for text, 1000 and 1.0e+3 for numbers), and "
            "what is nested in --config is always text"
        )
    if kinds == ["array"] and isinstance(value, str):
        return f"; for a list write [{shown(value)}]"
    return ""


def shown(value: Any) -> str:
    """Return a value as it would stand in a file, text in quotes, shortened in its middle if it is long."""
    text = repr(value)
    if not isinstance(value, str | dict | list):
        text = yaml.safe_dump(value).partition("\n")[0]
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-LONGEST // 4 :]}"


def key_path(path: Iterable[Any]) -> str:
    """Write a path into the configuration as ``run.models[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "configuration"


def quoted(keys: Iterable[Any]) -> str:
    """List keys in quotes."""
    return ", ".join(map(shown, keys))


def nearest(name: Any, known: Iterable[Any]) -> str:
    """Ask whether the name was meant that is nearest to one that does not exist; nothing if none is near."""
    close = difflib.get_close_matches(str(name), list(map(str, known)), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
