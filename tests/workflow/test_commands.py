"""The commands around a run: why outputs are stale, the report, the archive."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import h5py
import pandas as pd
import pytest
import yaml
from conceptdepth.commands.report import STYLE
from conceptdepth.ground.names import CURVE
from conceptdepth.models.weights import weight_files
from conceptdepth.provenance.audit import Auditor
from conceptdepth.provenance.metadata import embedded_id
from conceptdepth.provenance.record import read_record
from pages import DataInScripts, elements
from project import MARKUP, TOKEN, Project
from rocrate.rocrate import ROCrate

SCORES = "results/tables/layer_scores.csv"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished project."""
    return finished.copy(tmp_path / "project")


# --- sample sizes -----------------------------------------------------------------------------------------


def test_sample_sizes_are_said_for_every_cell_and_depth(run):
    result = run.conceptdepth("items", "--json", "--resolution", "0.4", "--draws", "50", "--quantity", "mean_accuracy")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    depths = pd.read_csv(run.folder / "results/tables/concept_depth.csv").set_index(list(CURVE))
    assert len(rows) == len(depths)
    for row in rows:
        assert row["n_test"] == depths.loc[tuple(row[name] for name in depths.index.names), "n_test"]
        assert row["needed"] is None or row["needed"] <= row["largest_tried"]
    table = run.conceptdepth("items", "--draws", "50").stdout.splitlines()
    assert table[0].split() == [
        "model",
        "format",
        "dataset",
        "perturbation",
        "quantity",
        "tested",
        "interval",
        "to",
        "test",
    ]
    assert sum("gain_centre" in line for line in table) == len(depths)


def test_sample_sizes_need_a_run(project):
    result = project.conceptdepth("items")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "Error: there is no results/tables/configuration.yaml: this needs the results of a run"
    )
    assert "is not between 0 and 1" in project.conceptdepth("items", "--resolution", "2").stderr


# --- why --------------------------------------------------------------------------------------------------


def why(project: Project, *arguments: str) -> dict[str, list[str]]:
    """Reason -> outputs, as the command prints them."""
    result = project.conceptdepth("why", *arguments, "--configfile", "overlay.yaml")
    assert result.returncode == 0, result.stderr
    reasons: dict[str, list[str]] = {}
    for line in result.stdout.splitlines()[:-1]:
        if line.startswith("    "):
            reasons[next(reversed(reasons))].append(line.strip())
        else:
            reasons[line] = []
    last = result.stdout.splitlines()[-1]
    count = sum(map(len, reasons.values()))
    assert last == (f"{count} output{'s' * (count != 1)} to make." if count else "Nothing is stale.")
    return reasons


def test_why_says_nothing_where_nothing_is_stale(run):
    assert why(run) == {}


def test_why_names_each_stale_output_once_with_its_reason(run):
    run.overlay(lambda config: config["probes"].update(C=0.5))
    reasons = why(run)
    assert list(reasons) == ["`probes.C` changed from 1.0 to 0.5", "what they read will be made again"]
    own, later = reasons.values()
    assert len([path for path in own if path.startswith("results/probes/")]) == 2 * 16
    assert {"results/figures/accuracy.svg", SCORES} <= set(later)
    assert len(set(own + later)) == len(own + later)


def test_why_names_code_software_and_bytes(run):
    with (run.folder / "workflow_scripts/conceptdepth/activations/store.py").open("a") as stream:
        stream.write("\nEXTRA = 1\n")
    environment = run.folder / "envs/figures.yaml"
    environment.write_text(environment.read_text().replace("matplotlib==3.11.2", "matplotlib==3.11.3"))
    prompts = run.folder / "results/prompts/claims.noise.jsonl"
    prompts.write_text(prompts.read_text().replace("city", "town"))
    reasons = why(run)
    cell = "results/activations/tiny/fp32/claims"
    assert f"{cell}.clean.h5" in reasons["`conceptdepth/activations/store.py` changed"]
    edited = "`conceptdepth/activations/store.py` changed; the bytes of results/prompts/claims.noise.jsonl changed"
    assert f"{cell}.noise.h5" in reasons[edited]
    figures = reasons["`matplotlib` changed from 3.11.2 to 3.11.3 in envs/figures.yaml"]
    assert "results/figures/depths.png" in figures


def test_why_names_what_is_missing_and_what_is_new(run):
    (run.folder / SCORES).unlink()
    run.overlay(lambda config: config["run"].update(quantizations=["fp32", "int8", "nf4"]))
    reasons = why(run)
    new = [path for path in reasons["not made yet"] if path.startswith("results/activations/")]
    assert (len(new), len([path for path in new if path.endswith("/index.csv")])) == (10, 2)
    made_together = ["results/tables/baseline_scores.csv", SCORES]
    assert reasons[f"missing: {SCORES}"] == made_together


def test_why_knows_until(run):
    run.overlay(lambda config: config["probes"].update(C=0.5))
    assert list(why(run, "--until", "train_probes")) == ["`probes.C` changed from 1.0 to 0.5"]


def test_why_takes_a_target_as_snakemake_does(run):
    run.overlay(lambda config: config["probes"].update(C=0.5))
    target = "results/probes/tiny/fp32/coins.clean.csv"
    assert why(run, target) == {"`probes.C` changed from 1.0 to 0.5": [target, target.replace("csv", "h5")]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results/none"], "Error: No rule to produce results/none"),
        (["--configfile", "none.yaml"], "Error: there is no file none.yaml."),
        (["--configfile", "bad.yaml"], "Error: configuration: unknown key 'probs' (did you mean 'probes'?)"),
    ],
)
def test_why_answers_a_mistake_with_a_sentence(run, arguments, message):
    (run.folder / "bad.yaml").write_text("probs: {}")
    result = run.conceptdepth("why", *arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


# --- costs ------------------------------------------------------------------------------------------------


def costs(project: Project, *arguments: str):
    """Rows by model and weight format."""
    result = project.conceptdepth("costs", "--json", *arguments, "--configfile", "overlay.yaml")
    assert result.returncode == 0, result.stderr
    return {(row["model"], row["quantization"]): row for row in json.loads(result.stdout)["costs"]}


def test_costs_of_the_whole_grid_are_what_it_took(run):
    run.overlay(lambda config: config["models"]["tiny"].update(layers=3, d_model=64))
    rows = costs(run, "--whole-grid")
    assert list(rows) == [("tiny", "fp32"), ("tiny", "int8"), ("cached", "fp32"), ("cached", "int8")]
    took = {"tokens_in_prompts": 0, "tokens_computed": 0, "statements": 0, "activation_bytes": 0}
    for path in (run.folder / "results/activations/tiny/fp32").glob("*.h5"):
        with h5py.File(path) as file:
            took["tokens_in_prompts"] += file.attrs["tokens_in_prompts"]
            took["tokens_computed"] += file.attrs["tokens_computed"]
            took["statements"] += len(file["id"])
            took["activation_bytes"] += file["activations/mlp_input/last"].nbytes + file["embedding/last"].nbytes
    row = rows["tiny", "fp32"]
    assert {key: row[key] for key in took} == took
    assert row["tokens_exact"]
    assert (row["cells"], row["unknown_cells"], row["loads"]) == (4, 0, 1)
    assert rows["cached", "fp32"]["activation_bytes"] is None, "the registry does not say how large it is"


def test_costs_count_what_is_stale_and_use_the_hint_where_prompts_are(run):
    assert costs(run) == {}
    size = {"statements": 10, "characters": 30}
    run.overlay(lambda config: config["datasets"]["claims"].update(size=size, max_per_class=5))
    run.overlay(lambda config: config["datasets"]["coins"]["template"].update(prompt="heads ?"))
    row = costs(run)["tiny", "fp32"]
    assert (row["cells"], row["unknown_cells"]) == (4, 2), "coins has neither current prompts nor a size"
    assert (row["statements"], row["tokens_exact"]) == (20, False)
    before = len("judge the statement true or false . ")
    assert row["characters"] == 10 * (before + 30) + 10 * (before + 30 + 3)


def test_costs_before_anything_ran_say_what_is_unknown(project):
    result = project.conceptdepth("costs", "--share", "0.5", "--configfile", "overlay.yaml")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert re.match(r"total +16 +1\.2 GB +4 +unknown", lines[5])
    assert "Unknown: 16 cells without prompts" in result.stdout
    assert "at 50% of 19.5 (fp32) or 312 (others) TFLOP/s" in result.stdout
    assert not (project.folder / "results/models").exists()


def test_costs_in_words_when_nothing_is_stale(run):
    result = run.conceptdepth("costs", "--configfile", "overlay.yaml")
    assert result.stdout == "No activations are to be extracted; --whole-grid counts all cells.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--configfile", "none.yaml"], "Error: there is no file none.yaml."),
        (["--share", "0"], "Error: Invalid value for '--share': 0 is not above 0"),
        (["--share", "half"], "Error: Invalid value for '--share': 'half' is not a number"),
    ],
)
def test_costs_answer_a_mistake_with_a_sentence(run, arguments, message):
    result = run.conceptdepth("costs", *arguments)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr


# --- The report -------------------------------------------------------------------------------------------


def test_the_report_carries_its_record_and_shows_the_audit(run, monkeypatch):
    result = run.conceptdepth("report", "--cores", "2", "--configfile", "overlay.yaml")
    assert result.returncode == 0, result.stderr
    monkeypatch.chdir(run.folder)
    record = read_record("results/provenance/build_report.json")
    assert embedded_id("results/report.html") == record["id"]
    assert STYLE.read_text() in Path("results/report.html").read_text()
    assert f"workflow_scripts/{record['code']['script']}" in record["code"]["files"]
    audit = run.conceptdepth("audit", "results/report.html")
    assert audit.stdout.splitlines()[-1].startswith("intact: ")
    assert "plot_depths" in audit.stdout
    page = Path("results/audit.html").read_text()
    assert embedded_id("results/audit.html") == read_record("results/provenance/audit_results.json")["id"]
    assert '<span class="verdict intact">intact</span>' in page
    for words in ("results/figures/depths.svg", "cached: hf tests/cached, revision 0123", "seeds 1 2"):
        assert words in page
    assert "Nothing to be done" in run.snakemake("--dry-run").stdout
    text_stays_text(run.folder / "results")


def text_stays_text(results: Path) -> None:
    """Check that what the overlay has in its free texts is in every page and figure, and an element in none."""
    report = (results / "report.html").read_text()
    assert {name for name, _ in elements(report)} == {
        "html",
        "head",
        "meta",
        "title",
        "script",
        "style",
        "body",
        "div",
        "p",
    }
    data = DataInScripts(report)
    assert MARKUP in data["results"]["results/figures/accuracy.svg"]["job_properties"]["params"]
    assert MARKUP in data["results"]["results/tables/claims.csv"]["job_properties"]["params"]
    # The description has a figure in it, not only its file.
    assert MARKUP.partition("<img")[0] in unescape(data["workflow_desc"])
    beside = [(results / f"{name}.html").read_text() for name in ("audit", "explorer")]
    for page in [report, data["workflow_desc"], *beside]:
        attributes = [attribute for _, own in elements(page) for attribute in own]
        assert [name for name in attributes if name.startswith("on")] == []
        assert [name for name, _ in elements(page) if name in ("img", "foreignobject")] == []
    assert "script" not in [name for name, _ in elements(data["workflow_desc"])]
    for figure in (results / "figures").glob("*.svg"):
        tree = ElementTree.parse(figure)
        assert not {"script", "img", "a", "foreignObject"} & {element.tag.rpartition("}")[2] for element in tree.iter()}
    accuracy = ElementTree.parse(results / "figures/accuracy.svg")
    words = " ".join(element.text or "" for element in accuracy.iter()).split()
    assert f"Coins {MARKUP}" in " ".join(words), "a title may stand on several lines"


def test_the_report_says_so_when_something_was_tampered_with(run):
    path = "results/activations/tiny/fp32/coins.clean.h5"
    with (run.folder / path).open("ab") as stream:
        stream.write(b"x")
    result = run.conceptdepth("report", "--cores", "2", "--configfile", "overlay.yaml")
    assert result.returncode == 0, result.stderr
    page = (run.folder / "results/audit.html").read_text()
    assert '<span class="verdict changed since">changed since</span>' in page
    assert f"<code>{path}</code> has the sha256" in page


def test_a_broken_record_is_named_when_the_report_is_built(run):
    (run.folder / "results/provenance/plot_depths.json").write_text("{")
    result = run.conceptdepth("report", "--cores", "2", "--configfile", "overlay.yaml")
    assert result.returncode == 1
    assert "results/provenance/plot_depths.json is not a readable record; delete it and run again." in result.stderr
    assert "Traceback" not in result.stderr


# --- The archive ------------------------------------------------------------------------------------------


def test_an_archive_is_a_crate_with_results_records_configuration_and_code(run, tmp_path, monkeypatch):
    result = run.conceptdepth("archive", str(tmp_path / "run.zip"))
    assert (result.returncode, result.stderr) == (0, "")
    assert "read back and checked" in result.stdout
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        archive.extractall(tmp_path / "crate")
    crate = ROCrate(tmp_path / "crate")
    assert crate.mainEntity.id == "Snakefile"
    profiles = {profile.id for profile in crate.root_dataset["conformsTo"]}
    assert {f"https://w3id.org/ro/wfrun/{name}/0.6" for name in ("process", "workflow", "provenance")} < profiles
    action = crate.get("#run")
    assert (action.type, action["instrument"].id) == ("CreateAction", "Snakefile")
    results = {entity.id for entity in action["result"]}
    assert {SCORES, "results/figures/accuracy.png", "results/audit.html"} <= results
    monkeypatch.chdir(run.folder)
    records = {str(path) for path in Path("results/provenance").rglob("*.json")}
    assert records <= results
    assert {"config/config.yaml", "config/models.yaml"} <= {entity.id for entity in action["object"]}
    names = {str(path.relative_to(tmp_path / "crate")) for path in (tmp_path / "crate").rglob("*") if path.is_file()}
    assert {"config/config.yaml", "rules/probes.smk", "workflow_scripts/conceptdepth/activations/store.py"} <= names
    assert not [name for name in names if name.startswith(("results/activations", "results/prompts", "results/models"))]
    assert {entity.id for entity in crate.data_entities} == names - {"ro-crate-metadata.json"}
    assert not [name for name in names if TOKEN.encode() in (tmp_path / "crate" / name).read_bytes()]


def test_an_archive_can_be_audited_where_it_is_unpacked(run, tmp_path, monkeypatch):
    run.conceptdepth("archive", "--with-activations", str(tmp_path / "run.zip"))
    shutil.unpack_archive(tmp_path / "run.zip", tmp_path / "crate")
    monkeypatch.chdir(tmp_path / "crate")
    audit = Auditor(".", weight_files).audit_file("results/figures/accuracy.svg")
    assert audit.verdict == "incomplete", "texts, weights, probes and baselines are not archived"
    assert {finding.path.split("/")[1] for finding in audit.findings} == {
        "sources", "datasets", "prompts", "models", "probes", "baselines",
    }  # fmt: skip
    monkeypatch.setenv("PYTHONPATH", "workflow_scripts")
    typed = subprocess.run(
        [sys.executable, "-m", "conceptdepth", "audit", "results/figures/accuracy.svg"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert typed.returncode == 2
    assert typed.stdout.splitlines()[-1].startswith("incomplete: "), typed.stderr


@pytest.mark.parametrize("path", [SCORES, "results/figures/accuracy.png", "results/figures/depths.svg"])
def test_what_is_not_intact_is_not_archived(run, tmp_path, path):
    content = bytearray((run.folder / path).read_bytes())
    content[len(content) // 2] ^= 1
    (run.folder / path).write_bytes(content)
    result = run.conceptdepth("archive", str(tmp_path / "run.zip"))
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: these results are not intact, so they are not archived: {path} has the")
    assert not (tmp_path / "run.zip").exists()


def test_the_citation_file_names_the_software_and_the_paper():
    citation = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert "2404.07066" in json.dumps(citation)
