"""Why an output is stale, in words: the record of the job that made it against the job as it would run now."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conceptdepth.provenance.digest import code_hashes, script_of

ROOTS = ("labels", "configuration", "published")
"""Params whose keys are those of the configuration itself."""

MISSING = "nothing"
"""What stands for a value that was not there."""


def changes(
    record: Mapping[str, Any], *, params: Mapping[str, Any], inputs: Iterable[str], stage: str
) -> Iterator[str]:
    """Say in words how a job differs from its record: settings, code, software and the set of inputs.

    ``params`` are those of the job now; ``stage`` names the environment file of its rule.
    """
    now = {key: value for key, value in params.items() if key not in ("code", "software")}
    before = dict(leaves(record["params"], record["wildcards"]))
    after = dict(leaves(now, record["wildcards"]))
    yield from _differences(before, after)
    yield from _code(record["code"]["files"], code_hashes(script_of(record["rule"])))
    for name, was, is_now in _unequal(record["software"], params["software"]):
        yield f"`{name}` changed from {was} to {is_now} in envs/{stage}.yaml"
    were = {entry["path"] for entry in (*record["inputs"], *record["upstream"])}
    yield from _inputs(were, set(inputs))


def leaves(params: Mapping[str, Any], wildcards: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Give every value in the params with its key in the configuration: ``probes.C``, ``models.tiny.source.path``."""
    for name, value in params.items():
        if name in ROOTS:
            yield from _flat("", value)
        elif name in wildcards:
            yield from _flat(f"{name}s.{wildcards[name]}.", value)
        else:
            yield from _flat(f"{name}.", value)


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(f"{prefix}{key}.", inner)
    else:
        yield prefix.removesuffix("."), value


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name, was, is_now in _unequal(before, after):
        if name.endswith("sha256"):
            yield f"the bytes behind `{name.rpartition('.')[0]}` changed"
        else:
            yield f"`{name}` changed from {_short(was)} to {_short(is_now)}"


def _unequal(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*before, *after]):
        was, is_now = before.get(name, MISSING), after.get(name, MISSING)
        if was != is_now:
            yield name, was, is_now


def _code(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name, was, is_now in _unequal(before, after):
        file = Path(name).relative_to("workflow_scripts").as_posix()
        if was == MISSING:
            yield f"`{file}` is imported now"
        elif is_now == MISSING:
            yield f"`{file}` is no longer imported"
        else:
            yield f"`{file}` changed"


def _inputs(before: set[str], after: set[str]) -> Iterator[str]:
    """Name the inputs that were added and removed; the record beside each is left out."""
    new, gone = (sorted(p for p in paths if "/provenance/" not in p) for paths in (after - before, before - after))
    if new:
        yield f"it also reads {first_of(new)}"
    if gone:
        yield f"it no longer reads {first_of(gone)}"


def first_of(paths: Sequence[str]) -> str:
    """Name the first of some paths and count the others."""
    return paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
