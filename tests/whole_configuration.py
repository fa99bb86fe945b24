"""The configuration as the workflow has it: the files of config/, overlays over them, defaults below."""

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from conceptdepth.configuration.schema import FILES, filled
from snakemake.utils import update_config

ROOT = Path(__file__).parents[1]


def configuration(*overlays: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return the configuration of a run with these overlays, each a mapping or the name of a file of config/."""
    return filled(configured(*overlays))


def configured(*overlays: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return what the files and overlays say, merged as Snakemake does, without any default."""
    config: dict[str, Any] = {}
    for content in (*FILES, *overlays):
        update_config(config, read(content) if isinstance(content, str) else content)
    return config


def read(name: str) -> dict[str, Any]:
    """Return the content of a file of config/, for the caller to change."""
    return copy.deepcopy(_content(name))


@cache
def _content(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8"))
