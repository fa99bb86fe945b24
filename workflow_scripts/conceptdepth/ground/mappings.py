"""Nested mappings, such as configurations."""

from collections.abc import Mapping
from typing import Any


def merged(config: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with an overlay over it: mappings are merged, all else is replaced."""
    both = {
        key: merged(config[key], value)
        if isinstance(value, Mapping) and isinstance(config.get(key), Mapping)
        else value
        for key, value in overlay.items()
    }
    return {**config, **both}
