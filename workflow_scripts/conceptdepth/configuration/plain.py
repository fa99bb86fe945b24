"""What every value of a configuration must be, wherever it stands: plain data.

The schemas say what each key may be. Some values they leave open, such as the labels of a dataset, and some things that
YAML makes no schema can name: a key `1` or `yes` is no text, `.nan` is of type number, and 2024-01-01 is a date.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from conceptdepth.configuration.sentences import key_path, shown


def plain_problems(value: Any, path: Sequence[Any] = ()) -> Iterator[str]:
    """Say which keys are no text, and which values are none of text, finite number, true, false and null."""
    where = key_path(path)
    match value:
        case Mapping():
            for key, inner in value.items():
                if not isinstance(key, str):
                    yield f"{where}: the key {shown(key)} is no text; put it in quotes."
                elif reason := _no_text(key):
                    yield f"{where}: the key {shown(key)} has {reason} in it."
                elif not key or not key.isprintable():
                    yield f"{where}: the key {shown(key)} is empty or has line ends or other unseen characters in it."
                else:
                    yield from plain_problems(inner, (*path, key))
        case list() | tuple():
            for number, inner in enumerate(value):
                yield from plain_problems(inner, (*path, number))
        case str():
            if reason := _no_text(value):
                yield f"{where}: {shown(value)} has {reason} in it."
        case float():
            if not math.isfinite(value):
                yield f"{where}: {shown(value)} is no number; infinities are none either."
        case int() | None:
            pass
        case _:
            yield f"{where}: YAML reads {shown(value)} as a {type(value).__name__}; put it in quotes."


def _no_text(text: str) -> str:
    """Name what UTF-8 or a file of C cannot hold, if it is in a text."""
    if "\0" in text:
        return "a NUL"
    return "half of a surrogate pair" if any("\ud800" <= letter <= "\udfff" for letter in text) else ""
