"""Whether content that was read from a file has the shape that its readers rely on."""

import json
from pathlib import Path
from typing import Any

Shape = Any
"""A type; a tuple of shapes, of which one is enough; ``[shape]``, a list of such; ``{name: shape}``, a mapping with at
least these names, or with ``str`` as a name, whatever its names."""


def fits(value: Any, shape: Shape) -> bool:
    """Tell whether a value has a shape. True and False are no numbers."""
    if isinstance(shape, tuple):
        return any(fits(value, one) for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(_has(value, name, inner) for name, inner in shape.items())
    return isinstance(value, shape) and not (isinstance(value, bool) and shape is not bool)


def _has(value: dict[str, Any], name: Any, shape: Shape) -> bool:
    if name is str:
        return all(fits(item, shape) for item in value.values())
    return name in value and fits(value[name], shape)


def json_of_shape(path: str | Path, shape: Shape) -> Any:
    """Return the content of a JSON file, or None if there is no such file, or none of this shape."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return content if fits(content, shape) else None
    except (OSError, ValueError, RecursionError):
        return None
