"""Telling the chain that an audit went through: from a figure back to sources, in words."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conceptdepth.ground.files import SCRIPTS
from conceptdepth.ground.text import counted
from conceptdepth.provenance.digest import script_of
from conceptdepth.provenance.findings import Audit
from conceptdepth.provenance.record import RecordContent

NO_SETTINGS = ("labels", "configuration", "targets", "published")
"""Params that are left out of a chain: labels, and copies of settings that other jobs of it show."""


@dataclass(frozen=True)
class Stage:
    """The jobs of one rule in a chain."""

    rule: str
    deed: str
    """What the rule does: the first sentence of its script."""
    jobs: int
    facts: list[str]
    """Settings that the jobs share, then the sources of those that fetch."""


def stages(audit: Audit) -> list[Stage]:
    """Return the chain's stages, from the audited file backwards."""
    by_rule: dict[str, list[RecordContent]] = {}
    for record in audit.records.values():
        by_rule.setdefault(record["rule"], []).append(record)
    return [
        Stage(rule, _deed(records[0]), len(records), [*filter(None, [_shared(records)]), *_sources(records)])
        for rule, records in by_rule.items()
    ]


def machine_and_code(audit: Audit) -> dict[str, str]:
    """Return the code, software, machines and time behind the chain, by name."""
    records = audit.records.values()
    commits = {r["git"]["commit"][:12] + (" with changes" if r["git"]["dirty"] else "") for r in records if r["git"]}
    machines = {f"{r['environment'].get('device', 'cpu')} ({r['environment']['cpu']})" for r in records}
    unpinned = {text for record in records for text in _unpinned(record)}
    return {
        "code": f"{counted(len(audit.code), 'file')}, "
        + (f"commit {', '.join(sorted(commits))}" if commits else "no git"),
        "software": ", ".join(sorted(unpinned)) or "as pinned",
        "machine": ", ".join(sorted(machines)),
        "time": f"{readable(min(r['started'] for r in records))} to {readable(max(r['ended'] for r in records))} UTC",
    }


def readable(time: str) -> str:
    """Write the time of a record for a person, without the zone, which is UTC."""
    return time.replace("T", " ").removesuffix("+00:00")


def counts(audit: Audit) -> str:
    """Say how much was checked."""
    files, records, code = len(audit.files), len(audit.records), len(audit.code)
    return f"{counted(files, 'file')}, {counted(records, 'record')} and {counted(code, 'code file')} checked"


def _deed(record: RecordContent) -> str:
    script = record["code"].get("script") or script_of(record["rule"])  # Records of earlier versions do not name it.
    try:
        tree = ast.parse((SCRIPTS / script).read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return ""  # The audit says that it is gone or changed.
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def _shared(records: Sequence[RecordContent]) -> str:
    """Name the settings that all jobs have with the same value."""
    first, *others = (dict(_leaves(record["params"])) for record in records)
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    return ", ".join(f"{key} {_brief(key, value)}" for key, value in shared.items())


def _leaves(params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, dict) and key not in ("source", *NO_SETTINGS):
            yield from _leaves(value)
        elif not isinstance(value, dict) and key not in ("classes", *NO_SETTINGS):
            yield key, value


def _sources(records: Sequence[RecordContent]) -> Iterator[str]:
    """Name the bytes that fetch jobs brought, and the generators of datasets."""
    for record in records:
        for key in ("dataset", "model"):
            source = record["params"].get(key, {}).get("source", {})
            if "hf" in source and "revision" not in source:
                source = source | {"revision": record["environment"].get("revision")}  # What `main` was.
            if record["rule"].startswith("fetch") or "generator" in source:
                words = ", ".join(f"{word} {_brief(word, value)}" for word, value in source.items() if word != "member")
                if words:
                    yield f"{record['wildcards'][key]}: {words}"


def _brief(key: str, value: Any) -> Any:
    """Write a list as words and a hash by its beginning; the records have it whole."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value[:16]}..." if key.endswith("sha256") else value


def _unpinned(record: RecordContent) -> Iterator[str]:
    """Name packages, and a Python, that ran in another version than the pinned one."""
    ran, pinned = record["environment"]["python"], record["software"]["python"]
    if not f"{ran}.".startswith(f"{pinned}."):
        yield f"python {ran} (pinned: {pinned})"
    for name, ran in record["environment"]["versions"].items():
        if ran not in (None, record["software"][name]):
            yield f"{name} {ran} (pinned: {record['software'][name]})"
