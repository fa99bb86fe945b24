"""Where each value of a configuration is from: a file, the command line, or the schema's default."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.cli import parse_config
from snakemake.common.configfile import load_configfile

from conceptdepth.configuration.plan import read_workflow
from conceptdepth.configuration.schema import defaults

DEFAULT = "default"
COMMAND_LINE = "--config"


@dataclass(frozen=True)
class Layer:
    """What one place says of the configuration."""

    origin: str
    """A file as the user or the Snakefile calls it, `COMMAND_LINE` or `DEFAULT`."""
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Layers:
    """A whole configuration and the layers that it was merged from, the first at the bottom."""

    config: Mapping[str, Any]
    layers: Sequence[Layer]

    def origin(self, path: Sequence[str]) -> str:
        """Return the origin of the value at a path: the uppermost layer that has one there."""
        return next(layer.origin for layer in reversed(self.layers) if _has(layer.content, path))


def layers(arguments: Sequence[str]) -> Layers:
    """Read the configuration of a run as Snakemake does with these arguments, profiles included.

    Raises `UserError` with the usual sentences if it is wrong.
    """
    with read_workflow(arguments) as (workflow, options):
        given = len(options.configfile)  # Snakemake's list begins with those of the command line.
        own = workflow.configfiles[given:]
        paths = [
            *((os.path.relpath(path, workflow.basedir), path) for path in own),
            *zip(options.configfile, workflow.configfiles),
        ]
        files = [Layer(Path(name).as_posix(), load_configfile(path)) for name, path in paths]
        said = Layer(COMMAND_LINE, parse_config(options.config))
        return Layers(workflow.config, [Layer(DEFAULT, defaults()), *files, said])


def _has(content: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(content, Mapping) or key not in content:
            return False
        content = content[key]
    return True
