"""The tamper table: whatever is changed after a run, the audit finds it and says where."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conceptdepth.models.weights import weight_files
from conceptdepth.provenance.audit import Auditor
from conceptdepth.provenance.findings import CHANGED, INCOMPLETE, INTACT
from conceptdepth.provenance.metadata import embedded_id
from conceptdepth.provenance.record import describe, read_record, record_id, sealed
from project import Project

FIGURE = "results/figures/accuracy.png"
SCORES = "results/tables/layer_scores.csv"
CELL = "tiny/fp32/coins.clean"


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    """A copy of the finished project to tamper with; its code is the repository's."""
    monkeypatch.setenv("HF_HOME", str(finished.hub))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(finished.hub / "hub"))
    project = finished.copy(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    return project


def audit_all():
    return Auditor(".", weight_files).audit_all()


def audit(path):
    return Auditor(".", weight_files).audit_file(path)


def found(audit) -> set[tuple[str, str]]:
    return {(finding.verdict, finding.path) for finding in audit.findings}


def flip(path, where=0.5):
    content = bytearray(Path(path).read_bytes())
    content[int(len(content) * where)] ^= 1
    Path(path).write_bytes(content)


def outputs():
    return [
        output["path"] for path in Path("results/provenance").rglob("*.json") for output in read_record(path)["outputs"]
    ]


def edit_record(path, change, *, reseal):
    """Edit a record as a person would, or as one who also mends what the record says of itself."""
    record = json.loads(Path(path).read_text())
    change(record)
    if reseal:
        record["id"] = record_id(record)
        record = sealed(record)
    Path(path).write_text(json.dumps(record, indent=1))


def test_what_nobody_touched_is_intact(run):
    whole = audit_all()
    assert whole.verdict == INTACT
    assert found(whole) == set()
    assert whole.files > set(outputs())
    assert "data/tiny/model.safetensors" in whole.files, "weights in a local folder are checked"
    assert any("snapshots" in path and path.endswith("model.safetensors") for path in whole.files), "and in a cache"


def test_the_chain_of_a_figure_ends_at_dataset_bytes_model_and_code(run):
    figure = audit(FIGURE)
    assert figure.verdict == INTACT
    assert {record["rule"] for record in figure.records.values()} == {
        "plot_accuracy", "collect_scores", "train_probes", "train_baselines", "extract_activations", "render_prompts",
        "fetch_model", "prepare_dataset", "fetch_source",
    }  # fmt: skip
    assert {"results/sources/claims/claims.csv", "data/tiny/config.json", SCORES, FIGURE} <= figure.files
    assert "workflow_scripts/conceptdepth/probes/training.py" in figure.code
    assert "workflow_scripts/estimate_depth.py" not in figure.code


def test_every_kind_of_file_that_carries_an_id_is_read_without_being_opened(run):
    """The HDF5 library can hang on a file with one flipped byte."""
    path = f"results/probes/{CELL}.h5"
    before = Path(path).read_bytes()
    for place in range(0, min(len(before), 6000), 3):
        content = bytearray(before)
        content[place] ^= 1
        Path(path).write_bytes(content)
        embedded_id(path)
    assert (CHANGED, path) in found(audit(path))


@pytest.mark.parametrize("where", [0.5, *(pytest.param(place, marks=pytest.mark.long) for place in (0.0, 0.99))])
def test_one_flipped_byte_in_any_output_is_found(run, where):
    for path in outputs():
        before = Path(path).read_bytes()
        flip(path, where)
        assert audit_all().verdict == CHANGED, path
        assert (CHANGED, path) in found(audit(path))
        Path(path).write_bytes(before)
    assert audit_all().verdict == INTACT


def test_a_flipped_byte_in_the_weights_is_found(run):
    flip("data/tiny/model.safetensors", 0.37)
    assert found(audit(FIGURE)) == {(CHANGED, "data/tiny/model.safetensors")}


def test_an_edited_cell_of_a_table_is_found_from_the_figure(run):
    text = Path(SCORES).read_text()
    Path(SCORES).write_text(
        text.replace("tiny,fp32,coins,clean,fp32,mlp_input,last", "tiny,fp32,coins,clean,fp32,mlp_inpux,last", 1)
    )
    assert found(audit(FIGURE)) == {(CHANGED, SCORES)}
    depths = "results/figures/depths.svg"
    assert audit(depths).verdict == INTACT, "it comes from the predictions, not from their scores"
    flip(f"results/probes/{CELL}.h5")
    assert audit(depths).verdict == CHANGED, "by way of concept_depth.csv"


def test_an_edit_stops_the_jobs_that_would_read_it(run):
    edited = Path(SCORES).read_text().replace("0.5", "0.6")
    Path(SCORES).write_text(edited)
    assert run.snakemake("--quiet", "all").returncode == 1
    said = Path("results/logs/plot_accuracy.log").read_text()
    assert f"Error: {SCORES} is not what results/provenance/collect_scores.json says was written" in said
    assert (Path(SCORES).read_text(), found(audit(SCORES))) == (edited, {(CHANGED, SCORES)})
    Path(SCORES).unlink()
    assert run.snakemake("--quiet", "all").returncode == 0, "as the sentence says"
    assert audit_all().verdict == INTACT


def test_damaged_activations_stop_the_next_probes_until_they_are_made_anew(run):
    activations, probes = f"results/activations/{CELL}.h5", f"results/probes/{CELL}.csv"
    before = Path(activations).read_bytes()
    flip(activations, 0.3)
    Path(probes).unlink()
    assert run.snakemake(probes).returncode == 1
    assert f"Error: {activations} is not what" in Path(f"results/logs/train_probes/{CELL}.log").read_text()
    assert not Path(probes).exists()
    Path(activations).unlink()
    assert run.snakemake(probes).returncode == 0
    assert (Path(activations).read_bytes(), audit(probes).verdict) == (before, INTACT)


def test_every_input_that_a_job_wrote_has_the_record_of_that_job(run):
    """Else it could not be compared before it is read."""
    records = [read_record(path) for path in Path("results/provenance").rglob("*.json")]
    inputs = [entry for record in records for entry in record["inputs"] if entry["path"].startswith("results/")]
    assert len(inputs) > 50
    assert [entry["path"] for entry in inputs if entry["record"] is None] == []


def test_an_edit_that_later_jobs_were_run_on_is_found(run):
    """Nothing is out of date then, and every file is as the job that read it found it."""
    Path(SCORES).write_text(Path(SCORES).read_text().replace("0.5", "0.6"))
    described = describe(SCORES)

    def read(record):
        record["inputs"] = [entry | described if entry["path"] == SCORES else entry for entry in record["inputs"]]

    edit_record("results/provenance/plot_accuracy.json", read, reseal=True)
    findings = audit(FIGURE).findings
    assert (CHANGED, SCORES) in found(audit(FIGURE))
    assert any("was edited: results/provenance/plot_accuracy.json read" in finding.text for finding in findings)


def test_the_page_of_the_audit_says_what_stops_other_jobs(run):
    flip(FIGURE)
    assert run.snakemake("results/audit.html").returncode == 0
    assert f"<b>changed since</b>: <code>{FIGURE}</code>" in Path("results/audit.html").read_text()


def test_swapped_figures_are_found_and_told_apart(run):
    one, other = Path(FIGURE).read_bytes(), Path("results/figures/depths.png").read_bytes()
    Path(FIGURE).write_bytes(other)
    Path("results/figures/depths.png").write_bytes(one)
    (finding,) = audit(FIGURE).findings
    assert finding.verdict == CHANGED
    assert "it carries the id" in finding.text
    assert "of another job" in finding.text


@pytest.mark.parametrize("name", [f"train_probes/{CELL}", "audit_results"])
def test_an_edited_record_is_found_by_its_seal(run, name):
    path = f"results/provenance/{name}.json"
    edit_record(path, lambda record: record.update(seconds=1000), reseal=False)
    findings = audit("results/audit.html").findings
    assert "was edited: its seal does not fit its content" in [f.text for f in findings if f.path == path]


def test_an_edited_and_resealed_record_breaks_the_record_that_names_it(run):
    path = f"results/provenance/train_probes/{CELL}.json"
    edit_record(path, lambda record: record.update(started="2020-01-01T00:00:00+00:00"), reseal=True)
    texts = [finding.text for finding in audit(FIGURE).findings if finding.path == path]
    assert any("results/provenance/collect_scores.json read" in text for text in texts)
    assert not any("seal" in text for text in texts)


def test_an_edited_and_resealed_record_at_the_end_of_the_chain_is_found_by_the_figure_itself(run):
    path = "results/provenance/plot_accuracy.json"
    edit_record(path, lambda record: record["params"]["figures"].update(dots_per_inch=300), reseal=True)
    assert (CHANGED, path) in found(audit(FIGURE))


def test_a_record_with_the_hash_of_a_forged_file_is_found(run):
    """Someone edits a table and its record, seal included: the figure was made from other bytes."""
    flip(SCORES)
    path = "results/provenance/collect_scores.json"
    now = Auditor(".", weight_files).sha256(SCORES)
    edit_record(path, lambda record: record["outputs"][0].update(sha256=now), reseal=True)
    assert {(CHANGED, SCORES), (CHANGED, path)} <= found(audit(FIGURE))


def test_a_broken_record_is_found(run):
    path = "results/provenance/collect_scores.json"
    Path(path).write_text("{")
    assert (CHANGED, path) in found(audit(FIGURE))
    assert (CHANGED, path) in found(audit_all())


def test_a_forged_record_at_the_end_is_contradicted_by_the_job_that_read_its_output(run):
    """A figure with other colours, and its own record forged to fit; the id does not depend on outputs."""
    figure, path = Path("results/figures/depths.svg"), "results/provenance/plot_depths.json"
    figure.write_text(figure.read_text().replace("#0072b2", "#ff0000"))
    outputs = {"results/figures/depths.svg": Auditor(".", weight_files).sha256(str(figure))}

    def forge(record):
        for output in record["outputs"]:
            output["sha256"] = outputs.get(output["path"], output["sha256"])

    edit_record(path, forge, reseal=True)
    assert found(audit(figure)) == {(CHANGED, str(figure)), (CHANGED, path)}


def test_a_file_that_two_records_claim_is_found(run):
    table, path = "results/tables/concept_depth.csv", "results/provenance/zz.json"
    flip(table)
    record = read_record("results/provenance/estimate_depth.json") | {"inputs": [], "upstream": []}
    record["outputs"] = [{"path": table, "bytes": 1, "sha256": Auditor(".", weight_files).sha256(table)}]
    Path(path).write_text(json.dumps(sealed(record | {"id": record_id(record)})))
    assert audit(table).verdict == audit_all().verdict == CHANGED


def test_what_is_left_of_a_larger_grid_does_not_count(run):
    run.overlay(lambda config: config["run"].update(quantizations=["fp32"]))
    assert run.snakemake("--quiet", "all").returncode == 0
    whole = audit_all()
    assert (whole.verdict, whole.earlier) == (INTACT, 19), (
        "8 cells of int8, two jobs each, lists of two models, and their figure"
    )
    flip(f"results/activations/{CELL.replace('fp32', 'int8')}.h5")
    assert audit_all().verdict == CHANGED, "but its files do"


def test_results_without_records_are_incomplete(run):
    shutil.rmtree("results")
    Path("results/provenance").mkdir(parents=True)
    assert audit_all().verdict == INCOMPLETE


def test_a_record_that_lacks_a_field_is_found(run):
    path = "results/provenance/collect_scores.json"
    record = json.loads(Path(path).read_text())
    del record["outputs"]
    Path(path).write_text(json.dumps(record))
    Path("results/provenance/folder.json").mkdir()
    Path("results/provenance/link.json").symlink_to("nowhere")
    assert {(CHANGED, path), (CHANGED, "results/provenance/folder.json")} <= found(audit_all())


def test_results_may_be_a_link_to_another_disk(run, tmp_path):
    Path("results").rename(tmp_path / "scratch")
    Path("results").symlink_to(tmp_path / "scratch")
    assert audit(FIGURE).verdict == INTACT
    flip(SCORES)
    assert found(audit(tmp_path / "scratch/tables/layer_scores.csv")) >= {(CHANGED, SCORES)}


@pytest.mark.parametrize("cells", ["tiny/*/coins.clean", pytest.param("*/*/*", marks=pytest.mark.long)])
def test_the_same_job_made_again_gives_the_same_bytes_and_ids(run, cells):
    before = {path: Auditor(".", weight_files).sha256(path) for path in outputs()}
    for path in Path("results/activations").glob(f"{cells}.h5"):
        path.unlink()
    assert run.snakemake("--quiet", "all").returncode == 0
    auditor = Auditor(".", weight_files)
    changed = {path for path, sha256 in before.items() if auditor.sha256(path) != sha256}
    assert changed == {"results/audit.html", "results/README.md"}, "which say when"


def test_a_missing_record_leaves_the_chain_incomplete(run):
    path = f"results/provenance/extract_activations/{CELL}.json"
    Path(path).unlink()
    assert audit(FIGURE).verdict == INCOMPLETE
    assert (INCOMPLETE, path) in found(audit(FIGURE))
    assert {(INCOMPLETE, path), (INCOMPLETE, f"results/activations/{CELL}.h5")} == found(audit_all())


def test_missing_activations_leave_the_chain_incomplete(run):
    shutil.rmtree("results/activations")
    assert audit(FIGURE).verdict == INCOMPLETE


def test_a_changed_file_weighs_more_than_a_missing_one(run):
    Path(f"results/activations/{CELL}.h5").unlink()
    flip(SCORES)
    assert audit(FIGURE).verdict == CHANGED


def test_a_file_from_another_run_is_found(run, tmp_path):
    run.overlay(lambda config: config.update(figures={"dots_per_inch": 70}))
    old = shutil.copy(FIGURE, tmp_path / "old.png")
    assert run.snakemake(FIGURE).returncode == 0
    assert audit(FIGURE).verdict == INTACT
    stranger = audit(old)
    assert stranger.verdict == INCOMPLETE
    assert "belongs to no record here" in next(iter(stranger.findings)).text
    shutil.copy(old, FIGURE)
    (finding,) = audit(FIGURE).findings
    assert (finding.verdict, finding.path) == (CHANGED, FIGURE)
    assert "of another job" in finding.text
    activations = f"results/activations/{CELL}.h5"
    shutil.copy("results/activations/tiny/fp32/coins.noise.h5", activations)
    assert (CHANGED, activations) in found(audit(FIGURE))


@pytest.mark.parametrize("name", ["accuracy.png", "accuracy.svg"])
def test_a_figure_copied_elsewhere_is_known(run, tmp_path, name):
    copy = shutil.copy(f"results/figures/{name}", tmp_path / f"sent by a colleague {name}")
    assert audit(copy).verdict == INTACT
    assert "results/provenance/plot_accuracy.json" in audit(copy).records
    flip(copy, 0.99)
    changed = audit(copy)
    assert (changed.verdict, "results/provenance/plot_accuracy.json" in changed.records) == (CHANGED, True)


def test_a_table_copied_elsewhere_is_known_by_its_bytes(run, tmp_path):
    copy = shutil.copy(SCORES, tmp_path / "scores.csv")
    assert audit(copy).verdict == INTACT
    flip(copy)
    assert audit(copy).verdict == INCOMPLETE, "a table carries no id"


def test_a_file_that_no_job_wrote_is_found(run):
    Path("results/tables/extra.csv").write_text("a\n1\n")
    assert found(audit_all()) == {(INCOMPLETE, "results/tables/extra.csv")}
    assert audit("results/tables/extra.csv").verdict == INCOMPLETE


@pytest.mark.parametrize("text", ["\nEXTRA = 1\n", "\n) is being edited\n"])
def test_other_code_is_found(run, monkeypatch, text):
    code = run.folder / "workflow_scripts/conceptdepth/probes/training.py"
    monkeypatch.setattr("conceptdepth.provenance.audit.ROOT", run.folder)
    assert audit(FIGURE).verdict == INTACT
    with code.open("a") as stream:
        stream.write(text)
    from conceptdepth.provenance import digest

    digest._read.cache_clear()
    (finding,) = audit(FIGURE).findings
    assert (finding.verdict, finding.path) == (CHANGED, "workflow_scripts/conceptdepth/probes/training.py")
    assert "is not the code that ran (commit " in finding.text


# --- The command ------------------------------------------------------------------------------------------


def audit_command(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.conceptdepth("audit", *arguments)


def test_the_command_prints_the_chain_and_one_verdict(run):
    result = audit_command(run, FIGURE)
    assert (result.returncode, result.stderr) == (0, "")
    rules = [line.split()[0] for line in result.stdout.splitlines() if " job" in line]
    assert rules == [
        "plot_accuracy", "collect_scores", "train_probes", "train_baselines", "extract_activations", "render_prompts",
        "fetch_model", "prepare_dataset", "fetch_source",
    ]  # fmt: skip
    assert "tiny: path data/tiny" in result.stdout
    assert "cached: hf tests/cached, revision 0123456789abcdef" in result.stdout
    assert "claims: path data/claims.csv, sha256 " in result.stdout
    assert result.stdout.splitlines()[-1].startswith("intact: ")


def test_the_exit_code_is_the_verdict(run):
    flip(SCORES)
    changed = audit_command(run, "--all")
    assert (changed.returncode, changed.stdout.splitlines()[-1].split(":")[0]) == (1, "changed since")
    assert f"changed since: {SCORES} has the sha256 " in changed.stdout
    shutil.rmtree("results/tables")
    incomplete = audit_command(run, FIGURE)
    assert (incomplete.returncode, incomplete.stdout.splitlines()[-1].split(":")[0]) == (2, "incomplete")


def test_json_has_everything(run):
    flip(SCORES)
    result = audit_command(run, FIGURE, "--json")
    content = json.loads(result.stdout)
    assert result.returncode == 1
    assert content["verdict"] == CHANGED
    assert [finding["path"] for finding in content["findings"]] == [SCORES]
    assert content["chain"][0]["rule"] == "plot_accuracy"
    assert SCORES in content["files"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results/figures/none.png"], "Error: there is no file 'results/figures/none.png'; give an output"),
        (["--all", "--directory", "data"], "Error: data has no results/provenance; run snakemake first"),
    ],
)
def test_a_mistake_is_answered_by_a_sentence(run, arguments, message):
    result = audit_command(run, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr
