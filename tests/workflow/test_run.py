"""The whole workflow on a tiny model: what it makes, that it is done then, and what it says when it cannot."""

import json
import re
import shutil

import h5py
import pandas as pd
import pytest
from conceptdepth.commands.report import inert
from conceptdepth.ground.names import SCORED
from conceptdepth.pages.findings import main_rows
from conceptdepth.pages.summary import EARLIER, first_section
from conceptdepth.provenance.metadata import embedded_id
from conceptdepth.provenance.record import read_record
from pages import DataInScripts
from project import CELLS, OVERLAY, REVISION, TOKEN


def jobs(text: str) -> dict[str, int]:
    """Return the job table of a dry run."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}


def test_a_dry_run_lists_every_job_and_makes_nothing(project):
    result = project.snakemake("--dry-run")
    assert result.returncode == 0
    assert jobs(result.stdout + result.stderr) == {
        "fetch_source": 1, "fetch_model": 2, "prepare_dataset": 2, "render_prompts": 4, "extract_activations": 16, "index_activations": 4,
        "train_probes": 16, "train_baselines": 4, "audit_data": 2, "collect_data_audit": 1, "collect_scores": 1, "estimate_depth": 1, "compare_depths": 1, "check_claims": 1, "measure_drift": 4, "collect_drift": 1, "record_configuration": 1, "plot_accuracy": 1,
        "plot_comparison__perturbations": 1, "plot_comparison__quantizations": 1, "plot_depths": 1, "plot_drift": 1, "build_explorer": 1, "audit_results": 1, "summarise_run": 1, "all": 1, "total": 71,
    }  # fmt: skip
    assert not list((project.folder / "results").rglob("*.h5"))


def test_every_output_is_made(finished):
    results = finished.folder / "results"
    for cell in CELLS:
        assert (results / "activations" / f"{cell}.h5").is_file()
        assert (results / "probes" / f"{cell}.csv").is_file()
    for name in ("accuracy", "perturbations", "quantizations", "depths", "drift"):
        assert (results / "figures" / f"{name}.svg").read_text().startswith("<?xml")
        assert (results / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert not list(results.rglob(".*.part")), "nothing half-written is left"


def test_tables_hold_a_row_for_each_probe_and_each_cell(finished):
    scores = pd.read_csv(finished.folder / "results/tables/layer_scores.csv")
    assert len(scores) == len(CELLS) * 3 * 2  # layers, seeds
    keys = [*SCORED, "layer", "seed"]
    assert not scores.duplicated(keys).any()
    assert scores["accuracy"].between(0, 1).all()
    depths = pd.read_csv(finished.folder / "results/tables/concept_depth.csv")
    assert len(depths) == len(CELLS)


def test_the_readme_of_the_results_says_what_was_run_and_found(finished):
    folder = finished.folder / "results"
    text = (folder / "README.md").read_text()
    assert list(first_section(text)) == ["Run", "Found", "Claims", "Beware", "Audit"]
    assert first_section(text)["Audit"].startswith("intact: ")
    assert embedded_id(folder / "README.md") == read_record(folder / "provenance/summarise_run.json")["id"]
    rows = main_rows(pd.read_csv(folder / "tables/concept_depth.csv"))
    assert len(rows) == 4
    assert text.count(" is not above its baselines in ") == (rows["above_baselines"] == False).sum()  # noqa: E712
    assert (folder / "tables/latex/main.tex").read_text().count("\\begin{longtable}") == 2
    assert EARLIER not in text


def test_probes_keep_coefficients_and_held_out_predictions(finished):
    scores = pd.read_csv(finished.folder / "results/tables/layer_scores.csv")
    with h5py.File(finished.folder / f"results/probes/{CELLS[0]}.h5") as file:
        group = file["mlp_input/last/logistic_regression/concept/seed_1"]
        assert group["coefficients"].shape == (3, 64 + 1)
        predicted = group["decision"][:] > 0
        accuracy = (predicted == group["label"][:]).mean(axis=1)
        assert group["label"][:].tolist() == file["label"][:][group["test"][:]].tolist()
        assert len(file["group"]) == len(file["id"])
    row = scores[
        (scores.model == "tiny")
        & (scores.quantization == "fp32")
        & (scores.dataset == "coins")
        & (scores.perturbation == "clean")
    ]
    assert accuracy.tolist() == row[row.seed == 1].sort_values("layer")["accuracy"].tolist()


def test_no_secret_of_the_environment_is_written_anywhere(finished):
    assert TOKEN in finished.variables()["HF_TOKEN"]
    files = [path for path in finished.folder.rglob("*") if path.is_file()]
    assert {"log", "json", "html", "yaml", "h5"} <= {path.suffix[1:] for path in files}
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_a_model_is_loaded_once_in_each_weight_format(finished):
    logs = [path.read_text() for path in (finished.folder / "results/logs/extract_activations").rglob("*.log")]
    loads = sum(bool(re.search(r"loaded (tiny|cached) as", text)) for text in logs)
    found = sum("loaded already" in text for text in logs)
    assert loads + found == len(CELLS)
    assert loads == len(OVERLAY["run"]["models"]) * len(OVERLAY["run"]["quantizations"])


def test_a_second_run_has_nothing_to_do(finished, tmp_path):
    result = finished.copy(tmp_path / "project").snakemake()
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout + result.stderr


def test_each_output_can_be_asked_for_alone(finished, tmp_path):
    result = finished.copy(tmp_path / "project").snakemake("--dry-run", "--force", "results/figures/depths.svg")
    assert jobs(result.stdout + result.stderr) == {"plot_depths": 1, "total": 1}


def test_the_report_is_self_contained_and_has_every_figure_and_table(finished, tmp_path):
    result = finished.copy(tmp_path / "project").snakemake("--report", str(tmp_path / "report.html"))
    assert result.returncode == 0, result.stderr
    html = (tmp_path / "report.html").read_text()
    for name in ("accuracy", "perturbations", "quantizations", "depths"):
        assert f"{name}.svg" in html
    for name in (
        "layer_scores.csv",
        "concept_depth.csv",
        "baseline_scores.csv",
        "data_audit.csv",
        "configuration.yaml",
    ):
        assert name in html
    assert not re.search(r'<(script|link)[^>]+(src|href)="https?://', html)
    data = DataInScripts(inert(html))
    # Snakemake's menu sorts by words: results come before what is told of the run.
    assert sorted(data["categories"]) == ["Figures", "Tables", "This run"]
    labels = [label for result in data["results"].values() for label in (result["labels"] or {}).values()]
    assert "Depths" in labels
    assert not [label for label in labels if re.match(r"\d", label)], "a number has a gap where a figure is not made"
    assert (
        data["workflow_desc"].find("explorer.html")
        < data["workflow_desc"].find("<svg")
        < data["workflow_desc"].find("arXiv")
    )


def test_show_prompts_prints_prompt_tokens_and_the_probed_one(finished, tmp_path):
    result = finished.copy(tmp_path / "project").snakemake("show_prompts", "--quiet", "all")
    assert result.returncode == 0, result.stderr
    assert "claims.clean  (id oslo-norway, class 0)" in result.stdout
    assert "last         .  (token 15 of 15)" in result.stdout
    assert "last         ?" in result.stdout


def test_a_configuration_error_is_one_sentence_and_no_traceback(project):
    project.overlay(lambda config: config["run"].update(quantizations=["fp61"]))
    result = project.snakemake("--dry-run")
    assert result.returncode == 1
    said = result.stdout + result.stderr
    assert "run.quantizations[0]: 'fp61' does not exist" in said
    assert "allowed are fp32, bf16, int8, nf4, native." in said
    assert "Traceback" not in said


def test_a_failing_job_shows_its_sentence_and_spares_the_other_cells(finished, tmp_path):
    def too_long(config):
        config["run"].update(models=["tiny"], quantizations=["fp32"], perturbations=["clean"])
        config["datasets"]["coins"]["template"]["prompt"] = "coin " * 200

    project = finished.copy(tmp_path / "project")
    results = project.folder / "results"
    for made in ("activations", "probes"):
        shutil.rmtree(results / made)
    project.overlay(too_long)
    result = project.snakemake()
    assert result.returncode == 1
    said = result.stdout + result.stderr
    assert re.search(
        r"Error: a prompt has \d+ tokens, but tiny takes at most 128; lower the dataset's `max_words`", said
    )
    assert "Traceback" not in said
    assert not (results / "activations/tiny/fp32/coins.clean.h5").exists()
    assert (results / "probes/tiny/fp32/claims.clean.csv").exists()


def test_without_workers_the_vectors_are_the_same(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    project.overlay(lambda config: config.update(execution={"keep_model_loaded": False}))
    target = "results/activations/tiny/fp32/claims.clean.h5"
    (project.folder / target).unlink()
    result = project.snakemake(target)
    assert result.returncode == 0, result.stderr
    with h5py.File(project.folder / target) as own, h5py.File(finished.folder / target) as workers:
        assert (own["activations/mlp_input/last"][:] == workers["activations/mlp_input/last"][:]).all()


def test_a_model_without_a_revision_is_held_at_the_commit_that_main_was(project):
    """The hub's client is the real one, offline, with a cache in which ``main`` moves."""
    project.overlay(lambda config: config["models"]["cached"]["source"].pop("revision"))
    repository = project.hub / "hub/models--tests--cached"
    (repository / "refs").mkdir()
    folder, target = project.folder / "results/models/cached", "results/models/cached/model.json"

    def fetched(*arguments):
        result = project.snakemake(target, *arguments)
        assert result.returncode == 0, result.stderr
        audit = project.conceptdepth("audit", "--all")
        assert audit.stdout.splitlines()[-1].startswith("intact: ")
        revision = json.loads((project.folder / target).read_text())["where"]["revision"]
        assert f"cached: hf tests/cached, revision {revision}" in audit.stdout
        return revision

    def move_main(commit):
        if not (repository / "snapshots" / commit).exists():
            shutil.copytree(repository / "snapshots" / REVISION, repository / "snapshots" / commit)
        (repository / "refs/main").write_text(commit)

    move_main(REVISION)
    assert fetched() == REVISION
    move_main(REVISION[::-1])
    assert "Nothing to be done" in project.snakemake(target).stderr
    assert fetched("--forcerun", "fetch_model") == REVISION
    shutil.rmtree(folder)
    assert fetched() == REVISION[::-1]


@pytest.mark.parametrize("word", ["Snakefile", "rules"])
def test_rules_have_no_lambdas_of_input_and_no_messages(finished, word):
    """Snakemake does not track the first, and the second hides the rule's name and log."""
    root = finished.folder / word
    for path in [root] if root.is_file() else root.glob("*.smk"):
        assert not re.search(r"lambda wildcards, input|lambda wc, input|^\s+message:", path.read_text(), re.MULTILINE)
