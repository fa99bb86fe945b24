"""Print the whole configuration of a run as YAML, and behind each value where it is from.

Of the registries only what the run selects, unless all is asked for.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from conceptdepth.configuration.origins import Layers, layers
from conceptdepth.configuration.schema import ordered
from conceptdepth.configuration.settings import selected_entries

REGISTRIES = ("models", "datasets")

WIDEST = 50
"""Origins are aligned behind lines of up to this width; a longer line has its own right behind it."""


def run(arguments: Sequence[str], *, everything: bool) -> int:
    """Print the configuration that these arguments of Snakemake lead to."""
    found = layers(arguments)
    config = found.config if everything else selected(found.config)
    print(text(found, ordered(config)), end="")
    return 0


def selected(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without the models and datasets that the run does not select."""
    return {**config, **selected_entries(config, REGISTRIES)}


def text(found: Layers, config: Mapping[str, Any]) -> str:
    """Return a configuration, or a part of one, as YAML with the origin of each value as a comment."""
    rows = [(line, found.origin(path) if path else "") for line, path in lines(config)]
    column = max((len(line) for line, origin in rows if origin and len(line) <= WIDEST), default=0)
    return "".join(f"{line:{column}}  # {origin}\n" if origin else f"{line}\n" for line, origin in rows)


def lines(config: Mapping[str, Any], path: Sequence[str] = ()) -> Iterator[tuple[str, Sequence[str]]]:
    """Give each line of YAML and the path of its value, which is empty in front of a mapping."""
    for key, value in config.items():
        name = "  " * len(path) + scalar(key) + ":"
        if isinstance(value, Mapping) and value:
            yield name, ()
            yield from lines(value, (*path, key))
        else:
            yield f"{name} {scalar(value)}", (*path, key)


def scalar(value: Any) -> str:
    """Return a value, or a whole list, as YAML in one line."""
    style = '"' if isinstance(value, str) and "\n" in value else None
    plain = yaml.safe_dump(
        value, default_flow_style=True, default_style=style, width=sys.maxsize, allow_unicode=True, sort_keys=False
    )
    return plain.removesuffix("\n").removesuffix("\n...")
