"""Auditing outputs: from a file back to dataset bytes, model revision and code, checking every hash on the way.

A file is *intact* if it and all that it was made from are as their records say, and the code is still the
code that made it; *changed since* if any hash differs; *incomplete* if something is missing, so that it
cannot be told.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import ROOT, file_sha256
from conceptdepth.provenance.digest import GONE, syntax_found
from conceptdepth.provenance.findings import CHANGED, INCOMPLETE, Audit
from conceptdepth.provenance.metadata import embedded_id
from conceptdepth.provenance.record import RECORDS, RecordContent, is_whole, read_record

LAST_RUN = tuple(str(RECORDS / f"{rule}.json") for rule in ("audit_results", "summarise_run", "build_report"))
"""Records at the end of a run, from which all others can be reached."""

STAGES = ("sources", "datasets", "prompts", "models", "activations", "probes", "tables", "figures")
"""Folders of ``results/`` in which every file has a record."""


WeightFiles = Callable[[Path, Path], list[tuple[Path, str]]]
"""Gives path and recorded SHA-256 of each file that a ``model.json`` points to, seen from the folder that Snakemake
works in; raises `UserError` if they are gone. `conceptdepth.models.weights.weight_files` is one."""


class Auditor:
    """The records of one folder of results, and the hashes that have been computed so far."""

    def __init__(self, folder: str | Path, weight_files: WeightFiles) -> None:
        """Take the folder that Snakemake works in. Raises `UserError` if it has no records."""
        self._weight_files = weight_files
        self.folder = Path(folder).absolute()
        if not (self.folder / RECORDS).is_dir():
            raise UserError(f"{folder} has no {RECORDS}; run snakemake first, or name the folder with --directory.")
        self._hashes: dict[str, str] = {}
        self._records: dict[str, RecordContent] = {}
        self._unreadable: list[str] = []
        for path in sorted((self.folder / RECORDS).rglob("*.json")):
            try:
                self._records[self._name(path)] = read_record(path)
            except UserError:
                self._unreadable.append(self._name(path))
        self._by_output: dict[str, str] = {}
        self._claimed_twice: list[tuple[str, str, str]] = []
        self._readers: dict[str, list[tuple[str, str]]] = {}
        for name, record in self._records.items():
            for output in record["outputs"]:
                if self._by_output.setdefault(output["path"], name) != name:
                    self._claimed_twice.append((output["path"], self._by_output[output["path"]], name))
            for entry in (*record["inputs"], *record["upstream"]):
                self._readers.setdefault(entry["path"], []).append((name, entry["sha256"]))

    def audit_file(self, path: str | Path) -> Audit:
        """Audit one file and all that it was made from; a copy is recognised by its bytes or by the id in it.

        Raises `UserError` if there is no such file.
        """
        if not Path(path).is_file():
            raise UserError(f"there is no file {str(path)!r}; give an output of the workflow, or --all.")
        audit = Audit()
        producer = self._compare(Path(path), audit)
        if producer is not None:
            self._follow([producer], audit)
        return audit

    def audit_all(self) -> Audit:
        """Audit the outputs of all records, follow those of the last run, and look for files that have none."""
        audit = Audit()
        if not self._records:
            audit.note(INCOMPLETE, str(RECORDS), "holds no records")
        outputs = [output for record in self._records.values() for output in record["outputs"]]
        self._hash_at_once(output["path"] for output in outputs)
        for output in outputs:
            self._check_file(output, audit, "its record says")
        self._follow([path for path in LAST_RUN if path in self._records] or sorted(self._records), audit)
        for path in self._records.keys() - audit.records.keys():
            self._check_seal(path, audit)
            audit.earlier += 1
        for path in self._unreadable:
            audit.note(CHANGED, path, "is not a readable record")
        for path in self._strays():
            audit.note(INCOMPLETE, path, "has no record")
        return audit

    def _compare(self, path: Path, audit: Audit) -> str | None:
        """Compare a file with its record, and return the record's path."""
        name, sha256, carried = self._name(path), file_sha256(path), embedded_id(path)
        audit.files.add(name)
        found = self._by_output.get(name) or self._by_content(sha256) or self._by_id(carried)
        if found is None:
            hint = f"; the id that it carries, {carried[:12]}, belongs to no record here" if carried else ""
            audit.note(INCOMPLETE, name, f"has no record in {RECORDS}{hint}")
            return None
        outputs = self._records[found]["outputs"]
        said = {output["sha256"] for output in outputs if output["path"] == name or name not in self._by_output}
        if sha256 not in said:
            stranger = _stranger(carried, self._records[found])
            audit.note(CHANGED, name, "has " + _differs(sha256, min(said), "its record says") + stranger)
        return found

    def _by_content(self, sha256: str) -> str | None:
        return next((n for n, r in self._records.items() if sha256 in {o["sha256"] for o in r["outputs"]}), None)

    def _by_id(self, carried: str | None) -> str | None:
        return next((name for name, record in self._records.items() if record["id"] == carried), None)

    def _follow(self, waiting: list[str], audit: Audit) -> None:
        """Check records and the files they read, breadth first, to the sources."""
        while waiting:
            path = waiting.pop(0)
            if path in audit.records:
                continue
            if path in self._unreadable:
                audit.note(CHANGED, path, "is not a readable record")
            elif path not in self._records:
                audit.note(INCOMPLETE, path, "is missing")
            else:
                record = audit.records[path] = self._records[path]
                self._check_record(path, record, audit)
                self._check_code(record, audit)
                for source in record["inputs"]:
                    self._check_file(source, audit, f"{path} read")
                for file, sha256 in self._weights(record, audit):
                    self._check_file({"path": file, "sha256": sha256}, audit, f"{path} found")
                waiting += [upstream["path"] for upstream in record["upstream"]]

    def _check_record(self, path: str, record: RecordContent, audit: Audit) -> None:
        self._check_seal(path, audit)
        for output, first, second in self._claimed_twice:
            if path in (first, second):
                audit.note(CHANGED, output, f"is claimed by two records, {first} and {second}")
        for output in record["outputs"]:
            if self.sha256(output["path"]) == output["sha256"]:
                carried = embedded_id(self.folder / output["path"])
                if carried not in (None, record["id"]):
                    audit.note(CHANGED, path, f"was edited: {output['path']} carries another id, {carried[:12]}")
        self._check_readers(path, record, audit)
        for upstream in record["upstream"]:
            if (now := self.sha256(upstream["path"])) not in (None, upstream["sha256"]):
                text = f"was edited or made again: it has {_differs(now, upstream['sha256'], f'{path} read')}"
                audit.note(CHANGED, upstream["path"], text)

    def _check_readers(self, path: str, record: RecordContent, audit: Audit) -> None:
        """Compare a record with what later jobs read of its outputs.

        Jobs that began before this one had ended read what an earlier job had written, and are left out.
        """
        said = {output["path"]: output["sha256"] for output in record["outputs"]} | {path: self.sha256(path)}
        for name, sha256 in said.items():
            for reader, read in self._readers.get(name, []):
                in_chain = name == path and reader in audit.records  # Compared with its upstream then.
                if read != sha256 and not in_chain and self._records[reader]["started"] >= record["ended"]:
                    audit.note(
                        CHANGED, name, f"was edited: {reader} read {_differs(read, str(sha256), 'its record says')}"
                    )

    def _check_seal(self, path: str, audit: Audit) -> None:
        record = self._records[path]
        if not is_whole(record):
            audit.note(CHANGED, path, "was edited: its seal does not fit its content")

    def _check_file(self, described: RecordContent, audit: Audit, who_says: str) -> None:
        path = described["path"]
        audit.files.add(path)
        now = self.sha256(path)
        if now is None:
            audit.note(INCOMPLETE, path, "is not here")
        elif now != described["sha256"]:
            carried = embedded_id(self.folder / path)
            stranger = _stranger(carried, self._records.get(self._by_output.get(path, "")))
            audit.note(CHANGED, path, "has " + _differs(now, described["sha256"], who_says) + stranger)

    def _check_code(self, record: RecordContent, audit: Audit) -> None:
        commit = f" (commit {record['git']['commit'][:12]})" if record["git"] else ""
        for name, sha256 in record["code"]["files"].items():
            audit.code.add(name)
            now = syntax_found(ROOT / name)
            if now == GONE:
                audit.note(CHANGED, name, f"is gone, but it ran{commit}")
            elif now != sha256:
                audit.note(CHANGED, name, f"is not the code that ran{commit}")

    def _weights(self, record: RecordContent, audit: Audit) -> list[tuple[str, str]]:
        """Return path and hash of the files that the record's ``model.json`` lists, wherever they lie."""
        description = record["outputs"][0]
        path = description["path"]
        if record["rule"] != "fetch_model" or self.sha256(path) != description["sha256"]:
            return []  # A description that is missing or was changed is found as such.
        try:
            return [(self._name(file), sha256) for file, sha256 in self._weight_files(self.folder / path, self.folder)]
        except UserError as error:
            audit.note(INCOMPLETE, path, f"points to weights that are not here: {error}")
            return []

    def sha256(self, path: str) -> str | None:
        """Return the hash of a file, computed once, or None if there is no file."""
        if path not in self._hashes:
            with suppress(OSError, ValueError):  # Of a name that no file can have, too.
                self._hashes[path] = file_sha256(self.folder / path)
        return self._hashes.get(path)

    def _hash_at_once(self, paths: Iterable[str]) -> None:
        """Hash files side by side: hashing does not hold the interpreter's lock."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self.sha256, paths))

    def _strays(self) -> list[str]:
        known = set(self._by_output)
        for record in self._records.values():
            known |= {file for file, _ in self._weights(record, Audit())}
        results = self.folder / "results"
        found = [file for stage in STAGES for file in sorted((results / stage).rglob("*"))]
        found += [results / name for name in ("explorer.html", "audit.html", "report.html", "README.md")]
        names = (self._name(file) for file in found if file.is_file() and not file.name.startswith("."))
        return [name for name in names if name not in known]

    def _name(self, path: Path) -> str:
        """Return a path as records write it: from the folder that Snakemake works in, if it lies there."""
        whole = Path(os.path.normpath(path.absolute()))
        if whole.is_relative_to(self.folder):
            return whole.relative_to(self.folder).as_posix()
        real, results = path.resolve(), (self.folder / "results").resolve()
        return (Path("results") / real.relative_to(results)).as_posix() if real.is_relative_to(results) else str(whole)


def _differs(now: str, then: str, who_says: str) -> str:
    return f"the sha256 {now[:12]}, {who_says} {then[:12]}"


def _stranger(carried: str | None, record: RecordContent | None) -> str:
    """Say where a file comes from that carries the id of another record."""
    if carried is None or record is None or carried == record["id"]:
        return ""
    return f"; it carries the id {carried[:12]} of another job"
