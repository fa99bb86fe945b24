"""What an archive says of a run: each job as its record has it, and what rocrate-validator requires."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote

import pytest

VALIDATOR = Path(os.environ.get("CRATE_PYTHON") or Path(sys.prefix) / "crate/bin/python")
"""A Python with tests/requirements-crate.txt, which `make test` installs."""

EARLIER = {"ro/crate/1.3": "ro/crate/1.1", "workflow-ro-crate/1.1": "workflow-ro-crate/1.0"} | {
    f"wfrun/{name}/0.6": f"wfrun/{name}/0.5" for name in ("process", "workflow", "provenance")
}
"""Versions that say the same under other addresses: roc-validator 0.13.0 knows Workflow Run RO-Crate as it was before 0.6."""


@pytest.fixture(scope="module")
def archived(finished, tmp_path_factory):
    """The metadata of an archive, and the records in it by path."""
    folder = tmp_path_factory.mktemp("archived")
    project = finished.copy(folder / "project")
    result = project.conceptdepth("archive", str(folder / "run.zip"))
    assert result.returncode == 0, result.stderr
    with zipfile.ZipFile(folder / "run.zip") as archive:
        records = {
            name: json.loads(archive.read(name))
            for name in archive.namelist()
            if name.startswith("results/provenance/")
        }
        return json.loads(archive.read("ro-crate-metadata.json")), records


def ids(value) -> set[str]:
    """Return the ids that a property refers to."""
    return {one["@id"] for one in (value if isinstance(value, list) else [value])}


def test_each_job_is_an_action_as_its_record_has_it(archived):
    metadata, records = archived
    entities = {entity["@id"]: entity for entity in metadata["@graph"]}
    jobs = {path: entity for path, entity in entities.items() if path.startswith("#job/")}
    assert {f"results/provenance/{unquote(path[5:])}.json" for path in jobs} == set(records)
    for path, job in jobs.items():
        record = records[f"results/provenance/{unquote(path[5:])}.json"]
        assert job["@type"] == "CreateAction"
        assert ids(job["instrument"]) == {f"workflow_scripts/{record['code']['script']}"}
        assert (job["startTime"], job["endTime"]) == (record["started"], record["ended"])
        named = {entities[one].get("sha256") for one in ids(job.get("object", []))}
        assert named == {file["sha256"] for file in record["inputs"]}
        made = {entities[one]["sha256"] for one in ids(job["result"])}
        assert {file["sha256"] for file in record["outputs"]} < made, "and the record itself"
        assert entities[f"#order/{path[5:]}"] | {"name": ""} == {
            "@id": f"#order/{path[5:]}",
            "@type": "ControlAction",
            "name": "",
            "instrument": {"@id": f"#step/{record['rule']}"},
            "object": {"@id": path},
        }
    steps = {entity["name"]: entity for path, entity in entities.items() if path.startswith("#step/")}
    assert set(steps) == {record["rule"] for record in records.values()}
    assert steps["train_probes"]["description"] == "Train and test the probes of all layers of one cell."
    assert entities["#run"]["endTime"] == max(record["ended"] for record in records.values())


def smaller(metadata: dict) -> dict:
    """Leave out the library, and all jobs of a rule but one: the validator takes a minute for all of them."""
    seen: set[tuple[str, str]] = set()

    def chosen(name: str) -> bool:
        kind, _, rest = name.partition("/")
        if kind in ("#job", "#order", "#left-out") or name.startswith("results/provenance/"):
            rule = rest.removeprefix("provenance/").removeprefix("results/").removesuffix(".json").partition("/")[0]
            new = (kind, rule) not in seen
            seen.add((kind, rule))
            return new
        return kind not in ("workflow", "rules", "envs", "report", "resources") and not name.startswith(
            "workflow_scripts/conceptdepth"
        )

    kept = {entity["@id"] for entity in metadata["@graph"] if chosen(entity["@id"])}
    gone = {entity["@id"] for entity in metadata["@graph"]} - kept

    def left(value):
        if not isinstance(value, list):
            return None if isinstance(value, dict) and value.get("@id") in gone else value
        found = [one for one in value if not (isinstance(one, dict) and one.get("@id") in gone)]
        return found[0] if len(found) == 1 else found or None

    graph = [
        {key: left(value) for key, value in entity.items()} for entity in metadata["@graph"] if entity["@id"] in kept
    ]
    return metadata | {"@graph": [{key: value for key, value in entity.items() if value} for entity in graph]}


def failures(text: str, profile: str, folder: Path) -> list[str]:
    """Return the requirements of a profile that a crate's metadata do not meet."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "ro-crate-metadata.json").write_text(text)
    script = Path(__file__).parents[1] / "crate_validator.py"
    result = subprocess.run([VALIDATOR, script, folder, profile], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.skipif(not VALIDATOR.exists(), reason="rocrate-validator is not installed")
def test_the_validator_finds_no_requirement_unmet(archived, tmp_path):
    text = json.dumps(smaller(archived[0]))
    assert failures(text, "ro-crate-1.3", tmp_path / "crate") == []
    for new, old in EARLIER.items():
        assert new in text
        text = text.replace(new, old)
    assert failures(text, "provenance-run-crate", tmp_path / "crate") == []
    wrong = text.replace('"workExample": {"@id": "workflow_scripts/train_probes.py"}', '"wrong": 1')
    assert wrong != text
    assert [line.split()[0] for line in failures(wrong, "provenance-run-crate", tmp_path / "crate")] != []
