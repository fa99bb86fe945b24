"""A run with cells that the paper's authors published numbers for, and the figures of those numbers alone."""

import pandas as pd
import pytest
from pages import explorer_data
from test_reruns import PUBLISHED_NAMES, Row, all_of, nothing, plan, replace, setting
from test_run import jobs

DIFFERENCES = "results/tables/published_differences.csv"


@pytest.fixture(scope="module")
def compared(finished, tmp_path_factory):
    """The finished project run again with published names. Tests must leave it as it is."""
    project = finished.copy(tmp_path_factory.mktemp("published") / "project")
    all_of(*(setting(*name) for name in PUBLISHED_NAMES))(project)
    result = project.snakemake()
    assert result.returncode == 0, result.stderr
    return project


def audit(project, *arguments: str) -> str:
    result = project.conceptdepth("audit", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_each_cell_with_published_numbers_has_a_row(compared):
    table = pd.read_csv(compared.folder / DIFFERENCES)
    depths = pd.read_csv(compared.folder / "results/tables/concept_depth.csv")
    cell = depths[
        (depths.model == "tiny")
        & (depths.dataset == "coins")
        & (depths.quantization == "fp32")
        & (depths.perturbation == "clean")
    ]
    (row,) = table.to_dict("records")
    assert (row["model"], row["published_model"], row["dataset"], row["published_dataset"]) == (
        "tiny", "Gemma-7B", "coins", "Coinflip",
    )  # fmt: skip
    assert row["computed_peak_accuracy"] == pytest.approx(cell["peak_accuracy"].item(), abs=1e-6)
    assert row["published_peak_accuracy"] == 0.88
    assert row["computed_converging_point"] == pytest.approx(cell["converging_point_published"].item(), abs=1e-6)
    assert "Gemma-7B,coins,Coinflip,fp32,clean" in (compared.folder / DIFFERENCES).read_text()
    assert pd.isna(row["difference_curve"]), "the tiny model has other layers"


def test_the_published_curve_is_drawn_beside_the_computed_one(compared, finished):
    assert "published" in (compared.folder / "results/figures/accuracy.svg").read_text()
    assert "published" not in (finished.folder / "results/figures/accuracy.svg").read_text()


def test_the_explorer_has_the_published_curve_by_the_names_of_the_run(compared, finished):
    data = explorer_data((compared.folder / "results/explorer.html").read_text())
    published = pd.read_csv(compared.folder / "resources/published/site_curves_7B.csv")
    rows = published[(published.model == "Gemma-7B") & (published.dataset == "Coinflip")].sort_values("layer_0based")
    (curve,) = data["published"]
    assert (curve["model"], curve["dataset"], curve["n_layers"]) == ("tiny", "coins", 28)
    assert curve["accuracy"] == pytest.approx(rows["accuracy"].tolist(), abs=5e-7)
    table = data["tables"]["published_differences"]
    assert table["rows"][0][table["columns"].index("published_dataset")] == "Coinflip"
    assert explorer_data((finished.folder / "results/explorer.html").read_text())["published"] == []


def test_table_and_figure_are_audited_down_to_the_published_numbers(compared):
    said = audit(compared, DIFFERENCES)
    assert "compare_published" in said
    assert "extract_activations" in said
    assert audit(compared, "results/figures/accuracy.png")
    assert audit(compared, "--all")
    assert f"<h2>{DIFFERENCES} " in (compared.folder / "results/audit.html").read_text()


def test_the_report_has_the_table(compared, tmp_path):
    result = compared.snakemake("--report", str(tmp_path / "report.html"))
    assert result.returncode == 0, result.stderr
    html = (tmp_path / "report.html").read_text()
    assert "published_differences.csv" in html
    assert "Dotted, where there is one" in html


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("site_curves_7B.csv", "Gemma-7B,Coinflip,0,28,", "Gemma-7B,Coinflip,1,28,", {"plot_accuracy", "compare_published", "build_explorer"}),
        ("site_peak_converge.csv", "Gemma-7B,Coinflip,88.0", "Gemma-7B,Coinflip,89.0", {"compare_published", "check_claims", "build_explorer"}),
        ("models.csv", "2", "3", {"check_claims", "build_explorer"}),
        ("README.md", "which is where", "where", set()),
    ],
)  # fmt: skip
def test_an_edited_number_runs_what_reads_it_again(compared, tmp_path, file, old, new, expected):
    project = compared.copy(tmp_path / "project")
    planned = plan(project, Row(replace(f"resources/published/{file}", old, new), set()))
    assert planned == (expected | {"audit_results", "summarise_run"} if expected else set())


def test_a_name_that_is_not_published_stops_with_a_sentence(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    setting("models", "tiny", "published", "Gemma7B")(project)
    result = project.snakemake("--dry-run")
    assert result.returncode == 1
    assert "models.tiny.published: 'Gemma7B' does not exist (did you mean 'Gemma-7B'?)" in result.stdout + result.stderr


def test_the_paper_s_own_figures_need_no_model_and_no_dataset(project):
    result = project.snakemake("published")
    assert result.returncode == 0, result.stderr
    assert jobs(result.stdout + result.stderr) == {
        "plot_published_curves": 1, "plot_published_sizes": 1, "published": 1, "total": 3,
    }  # fmt: skip
    for name in ("published_curves", "published_sizes"):
        assert (project.folder / f"results/figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert audit(project, f"results/figures/{name}.svg")
    assert plan(project, Row(nothing, set(), ("published",))) == set()
