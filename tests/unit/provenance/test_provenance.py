"""Records of jobs, ids in files, the words for changes, and where Snakemake's memory lies."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import pytest
from conceptdepth.configuration import changes, settings
from conceptdepth.figures.style import save_figure
from conceptdepth.ground.errors import UserError
from conceptdepth.provenance import environment, memory
from conceptdepth.provenance.chain import stages
from conceptdepth.provenance.digest import code_hashes
from conceptdepth.provenance.findings import Audit
from conceptdepth.provenance.metadata import embedded_id
from conceptdepth.provenance.record import JobRecord, read_record, record_id, sealed, seeds_in

PARAMS = {"probes": {"C": 1.0, "seeds": [1, 2]}, "dataset": {"source": {"generator": "coins", "seed": 0}}}
ID = "0123456789abcdef" * 4


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_bytes(b"in")
    (tmp_path / "out.txt").write_bytes(b"out")
    return tmp_path


def record_of_a_job(path="results/provenance/train_probes/a.json", inputs=("in.txt",), params=PARAMS):
    record = JobRecord(
        rule="train_probes",
        script="train_probes.py",
        wildcards={"cell": "a"},
        params=params,
        inputs=inputs,
        software=settings.pins("probes"),
    )
    record.write(["out.txt"], path)
    return read_record(path)


def test_a_record_has_the_facts_of_its_job(folder):
    record = record_of_a_job()
    assert record["inputs"] == [{"path": "in.txt", "bytes": 2, "sha256": sha256(b"in"), "record": None}]
    assert record["outputs"] == [{"path": "out.txt", "bytes": 3, "sha256": sha256(b"out")}]
    assert record["code"]["files"] == code_hashes("train_probes.py")
    assert record["seeds"] == {"probes.seeds": [1, 2], "dataset.source.seed": 0}
    assert record["environment"]["versions"]["scikit-learn"] == record["software"]["scikit-learn"]
    assert record["environment"]["python"].split(".")[0] == "3"
    assert record["peak_memory_mb"] > 10
    assert record["started"] <= record["ended"]
    assert record["git"] is None or len(record["git"]["commit"]) == 40


def test_a_chain_says_what_the_script_of_a_record_does(folder):
    def deed(record):
        (stage,) = stages(Audit(records={"a.json": record}))
        return stage.deed

    record = record_of_a_job(params={"probes": {"C": 1.0}})
    assert record["code"]["script"] == "train_probes.py"
    assert deed(record).startswith("Train and test the probes")
    record["code"]["script"] = "conceptdepth/commands/report.py"
    assert deed(record).startswith("Audit everything again and build the report")
    record["code"]["script"] = "gone.py"
    assert deed(record) == ""
    del record["code"]["script"]
    assert deed(record).startswith("Train and test the probes"), "an earlier version's record is known by its rule"


def test_a_record_names_the_records_of_its_inputs_by_hash_and_id(folder):
    upstream = "results/provenance/collect_scores.json"
    first = record_of_a_job(upstream)
    (folder / "in.txt").write_bytes(b"other")
    second = record_of_a_job(inputs=("out.txt", upstream))
    assert second["upstream"] == [{"path": upstream, "sha256": sha256((folder / upstream).read_bytes())}]
    assert [entry["record"] for entry in second["inputs"]] == [first["id"]]


def test_the_same_job_on_the_same_bytes_has_the_same_id_and_any_other_has_not(folder):
    ids = [record_of_a_job()["id"], record_of_a_job()["id"]]
    assert ids[0] == ids[1]
    (folder / "out.txt").write_bytes(b"the id is known before the outputs are written")
    assert record_of_a_job()["id"] == ids[0]
    ids.append(record_of_a_job(params=PARAMS | {"probes": {"C": 2.0}})["id"])
    (folder / "in.txt").write_bytes(b"im")
    ids.append(record_of_a_job()["id"])
    assert len(set(ids)) == 3


def test_id_and_seal_belong_to_the_content(folder):
    record = record_of_a_job()
    assert record["id"] == record_id(record)
    assert record == sealed(record)
    for key in record.keys() - {"seal"}:
        assert sealed(record | {key: "another"})["seal"] != record["seal"], key


def test_seeds_are_found_at_any_depth():
    assert dict(seeds_in({"a": {"b": {"seed": 3}}, "seeds": [1], "seedling": 4})) == {"a.b.seed": 3, "seeds": [1]}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "other"}'])
def test_what_is_no_record_is_refused(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"record.json is not a readable record; delete it and run again\."):
        read_record(path)


# --- Ids in files -----------------------------------------------------------------------------------------


def test_figures_carry_the_id_of_their_record(tmp_path):
    figure, axis = plt.subplots()
    axis.plot([0, 1], label="a line")
    svg, png = tmp_path / "figure.svg", tmp_path / "figure.png"
    save_figure(figure, svg=str(svg), png=str(png), dots_per_inch=50, record=ID)
    assert embedded_id(svg) == embedded_id(png) == ID


def test_hdf5_files_and_pages_carry_it_too(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["record"] = f"conceptdepth:record:{ID}"
    (tmp_path / "a.html").write_text(f'<meta name="conceptdepth-record" content="conceptdepth:record:{ID}">')
    assert embedded_id(tmp_path / "a.h5") == embedded_id(tmp_path / "a.html") == ID


@pytest.mark.parametrize("name", ["broken.png", "broken.svg", "broken.h5", "broken.html", "table.csv"])
def test_a_broken_file_carries_none(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x89PNG\xff\xfe broken")
    assert embedded_id(tmp_path / name) is None


# --- Changes in words -------------------------------------------------------------------------------------


RECORD = {
    "rule": "train_probes",
    "wildcards": {"dataset": "coins"},
    "params": {"probes": {"C": 1.0}, "dataset": {"source": {"path": "a.csv", "sha256": "1"}}},
    "software": {"numpy": "1.0", "python": "3.11"},
    "inputs": [{"path": "a.h5"}],
    "upstream": [{"path": "results/provenance/a.json"}],
}


def words(now=None, *, software=RECORD["software"], inputs=("a.h5",), code=None, monkeypatch=None) -> list[str]:
    files = code_hashes("train_probes.py")
    record = RECORD | {"code": {"files": files | (code or {})}}
    params = RECORD["params"] | (now or {}) | {"code": "x", "software": software}
    return list(changes.changes(record, params=params, inputs=inputs, stage="probes"))


def test_no_change_needs_no_words():
    assert words() == []


def test_a_changed_setting_is_named_as_in_the_configuration():
    assert words({"probes": {"C": 0.5}}) == ["`probes.C` changed from 1.0 to 0.5"]
    assert words({"probes": {"C": 1.0, "seed": 1}}) == ["`probes.seed` changed from nothing to 1"]
    assert words({"probes": {}}) == ["`probes.C` changed from 1.0 to nothing", "`probes` changed from nothing to {}"]
    assert words({"labels": {"models": {"a": {"label": "A"}}}}) == ["`models.a.label` changed from nothing to A"]
    assert words({"dataset": {"source": {"path": "b.csv", "sha256": "1"}}}) == [
        "`datasets.coins.source.path` changed from a.csv to b.csv"
    ]


def test_changed_bytes_are_not_shown_as_hashes():
    assert words({"dataset": {"source": {"path": "a.csv", "sha256": "2"}}}) == [
        "the bytes behind `datasets.coins.source` changed"
    ]


def test_changed_code_and_software_are_named():
    assert words(code={"workflow_scripts/conceptdepth/probes/training.py": "other"}) == [
        "`conceptdepth/probes/training.py` changed"
    ]
    assert words(code={"workflow_scripts/conceptdepth/gone.py": "1"}) == [
        "`conceptdepth/gone.py` is no longer imported"
    ]
    assert words(software={"numpy": "2.0", "python": "3.11"}) == ["`numpy` changed from 1.0 to 2.0 in envs/probes.yaml"]


def test_inputs_that_come_and_go_are_named_without_their_records():
    assert words(inputs=("a.h5", "b.h5", "c.h5", "results/provenance/b.json")) == ["it also reads b.h5 and 1 more"]
    assert words(inputs=()) == ["it no longer reads a.h5"]


# --- Snakemake's memory -----------------------------------------------------------------------------------


def test_memory_moves_into_results_and_stays_readable_where_snakemake_looks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    memory.METADATA.mkdir(parents=True)
    (memory.METADATA / "old").write_text("1")
    for _ in range(2):
        memory.keep_memory_in_results()
        assert (memory.TRAVELLING / "old").read_text() == "1"
        assert (memory.METADATA / "old").read_text() == "1"
    (memory.METADATA / "new").write_text("2")
    assert (memory.TRAVELLING / "new").read_text() == "2"


def test_memory_is_found_after_results_were_copied(tmp_path, monkeypatch):
    memory_file = tmp_path / "results/.snakemake/entry"
    memory_file.parent.mkdir(parents=True)
    memory_file.write_text("1")
    monkeypatch.chdir(tmp_path)
    memory.keep_memory_in_results()
    assert (memory.METADATA / "entry").read_text() == "1"


# --- The machine ------------------------------------------------------------------------------------------


def test_a_repository_without_git_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.git_state() is None


def test_a_changed_tracked_file_makes_a_commit_dirty_and_a_new_file_does_not(tmp_path, monkeypatch):
    def git(*arguments):
        who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(environment, "ROOT", tmp_path)
    (tmp_path / "file").write_text("1")
    git("init")
    git("add", ".")
    git("commit", "--message", "one")
    (tmp_path / "results").write_text("not tracked")
    assert environment.git_state()["dirty"] is False
    (tmp_path / "file").write_text("2")
    assert environment.git_state()["dirty"] is True


def test_a_package_that_is_not_installed_has_no_version():
    assert environment.installed("no-such-package-here") is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this machine")
def test_peak_memory_is_that_of_the_kernel():
    code = (
        "import re, sys; sys.path.insert(0, sys.argv[1]); x = bytearray(200 << 20)\n"
        "from conceptdepth.provenance.environment import peak_memory_mb\n"
        "print(peak_memory_mb(), int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)"
    )
    command = [sys.executable, "-c", code, str(environment.ROOT / "workflow_scripts")]
    ours, kernel = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert ours >= 200
    assert abs(ours - kernel) <= 5


# --- Settings that jobs see -------------------------------------------------------------------------------


def test_samples_of_weights_change_with_their_bytes(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(os.urandom(3 << 20))
    before = settings.samples_sha256(tmp_path)
    weights.write_bytes(os.urandom(3 << 20))
    other = settings.samples_sha256(tmp_path)
    weights.write_bytes(weights.read_bytes() + b"x")
    (tmp_path / "more.json").write_text("{}")
    assert len({before, other, settings.samples_sha256(tmp_path)}) == 3


def test_every_byte_of_a_small_file_is_in_the_samples(tmp_path):
    file = tmp_path / "config.json"
    content = bytearray(os.urandom(1 << 16))
    file.write_bytes(content)
    before = settings.samples_sha256(tmp_path)
    for position in (0, 1000, len(content) - 1):
        file.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert settings.samples_sha256(tmp_path) != before


def test_pins_are_the_versions_of_the_environment_file_by_their_names_on_pypi():
    pins = settings.pins("activations")
    assert pins["torch"] == "2.13.0"
    assert not {"pytorch", "pip"} & pins.keys()
    assert json.dumps(pins) == json.dumps(dict(sorted(pins.items())))


def test_class_names_do_not_count_and_class_values_do():
    classes = [{"name": "yes", "values": [1]}, {"name": "no", "at_most": 0}]
    assert settings.unnamed(classes) == [{"values": [1]}, {"at_most": 0}]
