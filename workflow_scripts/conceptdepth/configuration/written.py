"""How files of the configuration are written: what YAML takes in silence, though a person meant something else."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from conceptdepth.configuration.schema import YAML_LOADER
from conceptdepth.ground.errors import UserError

SURPRISING = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0[0-7_]+|.*:.*)"),
    "tag:yaml.org,2002:float": re.compile(r".*:.*"),
}
"""Kinds of numbers, and how those are written that are another number than it seems: octal, and in base 60."""


def check_files(paths: Iterable[str | Path]) -> None:
    """Raise `UserError` with a line for every key that stands twice in one place and every number that misleads."""
    problems = [f"{path}, line {line}: {what}" for path in paths for line, what in _problems(Path(path))]
    if problems:
        raise UserError("\n".join(problems))


def _problems(path: Path) -> Iterator[tuple[int, str]]:
    root = yaml.compose(path.read_text(encoding="utf-8"), YAML_LOADER)
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # What stands behind an alias is one node.
            continue
        seen.add(id(node))
        line = node.start_mark.line + 1
        match node:
            case yaml.MappingNode():
                yield from _repeated(node)
                waiting += [part for pair in node.value for part in pair]
            case yaml.SequenceNode():
                waiting += node.value
            case yaml.ScalarNode() if node.tag in SURPRISING and SURPRISING[node.tag].fullmatch(node.value):
                number = yaml.load(node.value, YAML_LOADER)
                yield line, f"YAML reads {node.value} as {number}; write that, or put it in quotes."


def _repeated(mapping: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line, name = key.start_mark.line + 1, (key.tag, key.value)
        if name in lines:
            yield line, f"the key {key.value!r} stands in line {lines[name]} too; only one of them would count."
        lines.setdefault(name, line)
