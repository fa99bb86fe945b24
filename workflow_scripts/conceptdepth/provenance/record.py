"""The record of a job: what it read, did and wrote.

Every job writes one, ``results/provenance/<rule>/<wildcards>.json``, as a declared output::

    format, format_version   "conceptdepth-record", 1
    id                       SHA-256 of the fields that decide the outputs (`IDENTITY`): the same job on the
                             same bytes has the same id on any machine and day. Figures, reports and HDF5
                             files carry it.
    rule, wildcards, params  as Snakemake knows them
    code                     the script, its digest, and the SHA-256 of the syntax of each file behind it
    software                 the pinned versions of the rule's environment
    inputs                   path, bytes and sha256 of each file that was read, and the id of its record
    upstream                 path and sha256 of the records of the inputs
    outputs                  path, bytes and sha256 of each file that was written
    seeds                    the params that are seeds
    environment              versions that ran, CPU and GPU, BLAS
    git                      commit, and whether tracked files differed from it
    started, ended           UTC; seconds and peak_memory_mb beside them, and what else was measured
    seal                     SHA-256 of all of the above

Records name their inputs' records by hash, so none can be edited without breaking those made from it.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file, file_sha256
from conceptdepth.ground.shapes import json_of_shape
from conceptdepth.provenance.digest import code_digest, code_hashes
from conceptdepth.provenance.environment import environment, git_state, peak_memory_mb

FORMAT = "conceptdepth-record"
FORMAT_VERSION = 1

RECORDS = Path("results/provenance")
"""Folder of the records, relative to the folder that Snakemake works in."""

PREFIX = "conceptdepth:record:"
"""What stands before a record's id in the metadata of a file."""

IDENTITY = ("rule", "wildcards", "params", "code", "software", "inputs")
"""Fields that decide what a job writes."""

_FILE = {"path": str, "bytes": int, "sha256": str}

SHAPE = {
    "format": str,
    "format_version": int,
    "id": str,
    "rule": str,
    "wildcards": {str: str},
    "params": dict,
    "code": {"files": {str: str}},
    "software": {str: str},
    "inputs": [_FILE],
    "upstream": [{"path": str, "sha256": str}],
    "outputs": [_FILE],
    "environment": {"python": str, "versions": {str: (str, type(None))}, "cpu": str},
    "git": (type(None), {"commit": str, "dirty": bool}),
    "started": str,
    "ended": str,
}
"""What readers rely on."""

RecordContent = dict[str, Any]


class JobRecord:
    """The record of a job that is running. It is written when the job has succeeded."""

    def __init__(
        self,
        *,
        rule: str,
        script: str,
        wildcards: Mapping[str, str],
        params: Mapping[str, Any],
        inputs: Sequence[str],
        software: Mapping[str, str],
    ) -> None:
        """Start the clock and hash the inputs; those that are records become ``upstream``.

        ``script`` is a path from the folder of the scripts.
        """
        self._clock = time.perf_counter()
        self.upstream = {path: read_record(path) for path in inputs if is_record(path)}
        """The records of the inputs, by path."""
        made_by = {output["path"]: record["id"] for record in self.upstream.values() for output in record["outputs"]}
        self.content: RecordContent = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "id": "",
            "rule": rule,
            "wildcards": dict(wildcards),
            "params": dict(params),
            "code": {"script": script, "digest": code_digest(script), "files": code_hashes(script)},
            "software": dict(software),
            "inputs": [describe(path) | {"record": made_by.get(path)} for path in inputs if path not in self.upstream],
            "upstream": [{"path": path, "sha256": file_sha256(path)} for path in self.upstream],
            "started": now(),
        }
        self.content["id"] = self.id = record_id(self.content)
        self.environment: dict[str, Any] = {}
        """Facts to add to the environment, such as the device."""
        self.measured: dict[str, float] = {}
        """What else was measured, such as the seconds of a part."""
        self.peak_memory_mb = 0
        """Peak memory of another process that worked for this job."""
        self._written: dict[str, dict[str, Any]] = {}

    def written(self, path: str | Path) -> dict[str, Any]:
        """Return path, size and SHA-256 of an output that is finished, hashed once."""
        name = str(path)
        if name not in self._written:
            self._written[name] = describe(path)
        return self._written[name]

    def note(self, *, peak_memory_mb: int, measured: dict[str, float], environment: dict[str, Any]) -> None:
        """Take facts about the process that did the job's work; see the attributes of these names."""
        self.peak_memory_mb, self.measured, self.environment = peak_memory_mb, measured, environment

    def write(self, outputs: Sequence[str], path: str) -> None:
        """Hash the outputs, gather the facts of this run and write the record."""
        content = self.content | {
            "outputs": [self.written(output) for output in outputs],
            "seeds": dict(seeds_in(self.content["params"])),
            "environment": environment(self.content["software"]) | self.environment,
            "git": git_state(),
            "ended": now(),
            "seconds": round(time.perf_counter() - self._clock, 2),
            "peak_memory_mb": max(peak_memory_mb(), self.peak_memory_mb),
            "measured": self.measured,
        }
        with complete_file(path) as part:
            part.write_text(json.dumps(sealed(content), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def is_record(path: str | Path) -> bool:
    """Tell whether a path is that of a record."""
    return Path(path).suffix == ".json" and Path(path).is_relative_to(RECORDS)


def rule_of(path: str | Path) -> str:
    """Return the rule of a record by its path, ``results/provenance/<rule>/<wildcards>.json``."""
    return Path(path).relative_to(RECORDS).parts[0].removesuffix(".json")


def read_record(path: str | Path) -> RecordContent:
    """Read a record. Raises `UserError` if it is none, or of another version of the format."""
    content = json_of_shape(path, SHAPE)
    if content is None or (content["format"], content["format_version"]) != (FORMAT, FORMAT_VERSION):
        raise UserError(f"{path} is not a readable record; delete it and run again.")
    return content


def is_whole(record: RecordContent) -> bool:
    """Tell whether a record's id and seal fit its content."""
    return record.get("seal") == sealed(record)["seal"] and record["id"] == record_id(record)


def describe(path: str | Path) -> dict[str, Any]:
    """Return path, size and SHA-256 of a file."""
    return {"path": str(path), "bytes": Path(path).stat().st_size, "sha256": file_sha256(path)}


def record_id(content: Mapping[str, Any]) -> str:
    """Return the id that belongs to the fields of a record that decide its outputs."""
    identity = {key: content[key] for key in IDENTITY}
    # Without the records of the inputs: it does not matter to this job who made these bytes.
    identity["inputs"] = [{key: entry[key] for key in ("path", "bytes", "sha256")} for entry in content["inputs"]]
    return hash_of(identity)


def sealed(content: Mapping[str, Any]) -> RecordContent:
    """Return a record with the seal that belongs to its content."""
    body = {key: value for key, value in content.items() if key != "seal"}
    return body | {"seal": hash_of(body)}


def hash_of(value: Any) -> str:
    """Return the SHA-256 of a value as JSON with sorted keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()  # A damaged record may hold anything.


def seeds_in(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give the params named ``seed`` or ``seeds``, wherever they stand, with their path."""
    for key, value in params.items():
        if key in ("seed", "seeds"):
            yield prefix + key, value
        elif isinstance(value, Mapping):
            yield from seeds_in(value, f"{prefix}{key}.")


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
