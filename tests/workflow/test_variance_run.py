"""A run that reads statements at two sites says how much that matters; one that reads them in one way does not ask."""

import json

import numpy as np
import pandas as pd
import pytest
from conceptdepth.depth.definitions import peak
from project import make_project
from test_reruns import Row, nothing, plan, setting, with_run

VARIANCE, FIGURE = "results/tables/depth_variance.csv", "results/figures/positions.png"


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """A finished project of one model and dataset at two sites. Tests must leave it as it is."""
    project = make_project(tmp_path_factory.mktemp("varied") / "project")
    with_run(models=["tiny"], quantizations=["fp32"], datasets=["claims"])(project)
    setting("activations", "sites", ["residual", "mlp_input"])(project)
    result = project.snakemake("all")
    assert result.returncode == 0, result.stderr
    return project


def test_the_spread_over_sites_is_that_of_the_scores(varied):
    table = pd.read_csv(varied.folder / VARIANCE).query("quantity == 'peak_accuracy'").set_index("factor")
    assert {"perturbation", "site", "statements"} <= set(table.index)
    scores = pd.read_csv(varied.folder / "results/tables/layer_scores.csv").query("target == 'concept'")
    curves = scores.pivot(index=["perturbation", "seed", "site"], columns="layer", values="accuracy").dropna()
    peaks = pd.Series(peak(curves)[0], index=curves.index).unstack("site")
    expected = np.mean((peaks["residual"] - peaks["mlp_input"]) ** 2 / 2)
    assert table.loc["site", "sd"] ** 2 == pytest.approx(expected)
    assert (varied.folder / FIGURE).is_file()


def test_tables_have_the_sites_in_the_order_of_the_configuration_and_a_position(varied):
    for name in ("layer_scores", "concept_depth", "layer_intervals", "depth_differences", "activation_drift"):
        table = pd.read_csv(varied.folder / f"results/tables/{name}.csv")
        assert table.columns.get_loc("position") == table.columns.get_loc("site") + 1
        assert set(table["position"]) == {"last"}
        assert {"residual", "mlp_input"} <= set(table["site"]), name
    for name in ("layer_scores", "concept_depth", "activation_drift"):
        sites = pd.read_csv(varied.folder / f"results/tables/{name}.csv")["site"].unique()
        assert [site for site in sites if site != "embedding"] == ["residual", "mlp_input"], name
    baselines = pd.read_csv(varied.folder / "results/tables/baseline_scores.csv")
    assert set(baselines["position"]) == {"prompt"}


def test_both_are_audited_and_not_made_twice(varied):
    record = json.loads((varied.folder / "results/provenance/audit_results.json").read_text())
    assert {VARIANCE, FIGURE} <= {entry["path"] for entry in record["inputs"]}
    assert plan(varied, Row(nothing, set())) == set()


def test_a_run_that_reads_statements_in_one_way_has_neither(finished):
    for path in (VARIANCE, FIGURE):
        assert not (finished.folder / path).exists()
