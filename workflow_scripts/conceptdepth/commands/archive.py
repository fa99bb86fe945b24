"""Archive a run as an RO-Crate: figures, tables, records, configuration and code, in one zip file.

`crate` says what stands in it of the run.
"""

import mimetypes
import tempfile
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from rocrate.model.file import File
from rocrate.rocrate import ROCrate

from conceptdepth.commands.crate import SCRIPT, add_run, script_path, start_crate
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import ROOT, complete_file, file_sha256
from conceptdepth.models.weights import weight_files
from conceptdepth.provenance.audit import Auditor
from conceptdepth.provenance.chain import counts
from conceptdepth.provenance.findings import INTACT, Audit

CODE = ("workflow", "rules", "envs", "config", "workflow_scripts", "resources", "profiles", "report")
"""Folders of the workflow; the Snakefile is the crate's main entity."""

DOCUMENTS = ("README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "requirements.txt", "pyproject.toml")

FORMATS = {".h5": "application/x-hdf5", ".yaml": "application/yaml", ".md": "text/markdown", ".rst": "text/x-rst"}
"""Media types that not every machine's table has."""

RESULTS = ("figures", "tables", "README.md", "explorer.html", "audit.html", "report.html")
"""Parts of ``results/`` that are archived. Not texts and weights, which are others', nor what is large."""


def run(file: Path, *, with_activations: bool) -> int:
    """Write the archive, read it back, and say how large it is."""
    write_archive(file, results=(*RESULTS, "activations") if with_activations else RESULTS)
    size = file.stat().st_size / 1e6
    print(f"{file}: {check_archive(file)} files, {size:.1f} MB, read back and checked")
    return 0


def write_archive(destination: Path, *, results: Collection[str]) -> None:
    """Write the crate. Raises `UserError` if the results are not intact."""
    audit = audited_run()
    crate = start_crate(facts(ROOT / "Snakefile"))
    crate.name = "Concept Depth: " + ", ".join(fetched(audit, "model")) + " on " + ", ".join(fetched(audit, "dataset"))
    crate.description = f"Audited when it was archived: {audit.verdict}, {counts(audit)}."
    configuration = [add(crate, path, ROOT) for path in sorted((ROOT / "config").glob("*.yaml"))]
    scripts = {ROOT / script_path(record) for record in audit.records.values()}
    for path in code_files():
        add(crate, path, ROOT, **({"@type": SCRIPT} if path in scripts else {}))
    outputs = [o["path"] for r in audit.records.values() for o in r["outputs"] if Path(o["path"]).parts[1] in results]
    made = [add(crate, Path(path), Path()) for path in dict.fromkeys([*outputs, *audit.records])]
    add_run(crate, audit, configuration=configuration, made=made)
    crate.get("README.md")["about"] = crate.root_dataset
    with complete_file(destination) as part:
        whole = part.with_suffix(".zip")  # rocrate adds the suffix where it is missing.
        crate.write_zip(whole)
        whole.replace(part)


def audited_run() -> Audit:
    """Audit what belongs to the last run. Raises `UserError` unless it is intact."""
    auditor = Auditor(".", weight_files)
    audit = auditor.audit_file("results/audit.html")
    for page in ("results/README.md", "results/report.html"):
        if Path(page).exists():
            audit.include(auditor.audit_file(page))
    for finding in audit.findings:
        raise UserError(
            f"these results are not {INTACT}, so they are not archived: {finding.path} {finding.text}; "
            "run the workflow again, then `conceptdepth report` if there is a report."
        )
    return audit


def fetched(audit: Audit, kind: str) -> list[str]:
    """Return the names of the models or datasets of a run."""
    rule = {"model": "fetch_model", "dataset": "prepare_dataset"}[kind]
    return sorted(record["wildcards"][kind] for record in audit.records.values() if record["rule"] == rule)


def code_files() -> Iterator[Path]:
    """Give the files of the workflow but the Snakefile and the configuration."""
    for name in DOCUMENTS:
        if (ROOT / name).is_file():
            yield ROOT / name
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.parent != ROOT / "config":
                yield path


def add(crate: ROCrate, path: Path, base: Path, **more: Any) -> File:
    """Add a file under its path from ``base``, with what is known of it."""
    return crate.add_file(path, path.relative_to(base).as_posix(), properties=facts(path) | more)


def facts(path: Path) -> dict[str, str]:
    """Return what the crate says of a file."""
    kind = FORMATS.get(path.suffix) or mimetypes.guess_type(path)[0] or "text/plain"
    size = str(path.stat().st_size)
    return {"name": path.name, "encodingFormat": kind, "sha256": file_sha256(path), "contentSize": size}


def check_archive(path: Path) -> int:
    """Read a crate back and return the number of its files. Raises `UserError` if one is not as it says."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        crate = ROCrate(folder)
        files = [entity for entity in crate.data_entities if isinstance(entity, File)]
        for entity in files:
            if file_sha256(Path(folder) / entity.id) != entity["sha256"]:
                raise UserError(f"{path}: {entity.id} was not archived as it is.")
    return len(files)
