"""What a cell of a table may hold: a text, a span of it, the name of a row or a group, a label.

Errors are the end of a sentence; who knows the row and the column puts them before it.
"""

import math
import reprlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from conceptdepth.ground.errors import UserError, one_of

SIMPLE = (str, int, float, Decimal, date)
"""Types of values that can be a label or a name, written as text; a bool is an int."""

INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode categories of characters that leave no mark: control, format (such as zero-width ones), spaces."""

BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(n) for n in range(0xFE00, 0xFE10)}
"""Characters of other categories that leave none either: fillers, joiners, variation selectors."""

RANGE = {"at_least", "at_most"}
"""Keys of a class that is a range of numbers."""


def is_missing(value: Any) -> bool:
    """Tell whether there is no value: null, NaN, or a text in which nothing can be seen."""
    if isinstance(value, str):
        return not any(unicodedata.category(c) not in INVISIBLE and c not in BLANK for c in value)
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def text_of(value: Any) -> str:
    """Return a text. A number is none: what a model is to read is written as a string."""
    if isinstance(value, str):
        if is_missing(value):
            raise UserError("the text is empty")
        return _storable(value)
    raise UserError("the text is missing" if is_missing(value) else f"{_shown(value)} is no text; write it as a string")


def span_of(value: Any, text: str) -> str:
    """Return a span of a text: a part of it, of which the first occurrence counts."""
    if is_missing(value):
        raise UserError("the row has no span; a dataset that names spans has one in each row")
    if not isinstance(value, str):
        raise UserError(f"{_shown(value)} is no text; write it as a string")
    if value not in text:
        raise UserError(f"the span {_shown(value)} does not stand in the text {_shown(text)}")
    return value


def name_of(value: Any) -> str:
    """Return the name of a row or a group."""
    if is_missing(value):
        raise UserError("the value is missing")
    return _storable(_simple(value))


def class_of(value: Any, classes: Sequence[Mapping[str, Any]], drop: Sequence[Any]) -> int | None:
    """Return the place of the class that a label belongs to; None for one that is to be left out."""
    label, number = str(value), _number(value)
    if value is None or isinstance(value, SIMPLE):
        for place, cls in enumerate(classes):
            if label in map(str, cls.get("values", ())) or (number is not None and _in_range(number, cls)):
                return place
    if label in map(str, drop) or (is_missing(value) and any(map(is_missing, drop))):
        return None
    if number is not None and any("values" not in cls for cls in classes):
        return None
    if value is None:
        raise UserError("the label is missing; to leave such rows out, list null under `drop`")
    allowed = one_of(part for cls in classes for part in _allowed(cls))
    raise UserError(f"the label {_shown(value)} is in no class; allowed are {allowed}; list others under `drop`")


def _number(value: Any) -> float | None:
    if not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _in_range(number: float, cls: Mapping[str, Any]) -> bool:
    bounds = RANGE & cls.keys()
    return bool(bounds) and cls.get("at_least", -math.inf) <= number <= cls.get("at_most", math.inf)


def _allowed(cls: Mapping[str, Any]) -> Iterable[str]:
    yield from map(str, cls.get("values", ()))
    if bounds := sorted(RANGE & cls.keys()):
        yield " and ".join(f"numbers {bound.replace('_', ' ')} {cls[bound]}" for bound in bounds)


def _simple(value: Any) -> str:
    if not isinstance(value, SIMPLE):
        raise UserError(f"{_shown(value)} is neither a text nor a number")
    return str(value)


def _storable(text: str) -> str:
    """Return a text that files in UTF-8 and HDF5 can hold."""
    if "\0" in text:
        raise UserError(f"{_shown(text)} has a NUL character in it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{_shown(text)} has half a character (a lone surrogate) in it, {text[error.start]!r}"
        ) from None
    return text


def _shown(value: Any) -> str:
    """Write a value for an error, cut where it is long."""
    return reprlib.repr(value)
