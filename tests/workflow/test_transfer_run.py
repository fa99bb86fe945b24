"""Probes tested where they were not trained: asked for, there are a table and a figure; a switch makes them part of a run."""

import pandas as pd
import pytest
from conceptdepth.ground.names import CURVE
from measure_transfer import COLUMNS
from test_reruns import GRID, Row, nothing, plan, replace, setting, with_run

TABLE = "results/tables/transfer.csv"
JOBS = {f"measure_transfer/{m}/{q}" for m in GRID["models"] for q in GRID["quantizations"]}
AFTER = {"collect_transfer", "plot_transfer"}


@pytest.fixture(scope="module")
def transferred(finished, tmp_path_factory):
    """The finished project after `snakemake transfer`. Tests must leave it as it is."""
    project = finished.copy(tmp_path_factory.mktemp("transfer") / "project")
    assert plan(project, Row(nothing, set(), ("transfer",))) == JOBS | AFTER
    result = project.snakemake("transfer")
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture(scope="module")
def table(transferred):
    return pd.read_csv(transferred.folder / TABLE, dtype={"from": str, "to": str})


def test_each_model_and_format_has_all_pairs_that_differ_in_one_thing(table):
    assert tuple(table.columns) == COLUMNS
    same = table[table["layer"] == table["layer_of_vectors"]]
    pairs = same.groupby(["model", "quantization", "transferred"])[["dataset", "perturbation", "from", "to"]].apply(
        lambda rows: len(rows.drop_duplicates())
    )
    n_layers = table["n_layers"].iloc[0]
    assert (pairs.xs("perturbation", level="transferred") == 2 * 2).all(), "two datasets, both ways"
    assert (pairs.xs("layer", level="transferred") == 4 * n_layers).all(), "each cell on its own layers"
    assert (pairs.xs("dataset", level="transferred") <= 2 * 4).all(), (
        "two renderings; few statements may leave a pair out"
    )
    assert len(pairs) == 4 * 3
    assert not table.duplicated([*CURVE, "transferred", "from", "to", "layer", "layer_of_vectors"]).any()


def test_what_is_in_domain_is_what_the_probes_of_the_run_score(transferred, table):
    scores = pd.read_csv(transferred.folder / "results/tables/layer_scores.csv")
    means = scores[scores["target"] == "concept"].groupby([*CURVE, "layer"])[["accuracy", "auc"]].mean()
    own = table[(table["transferred"] == "dataset") & (table["from"] == table["to"])].set_index([*CURVE, "layer"])
    assert len(own) == len(means)
    for name in ("accuracy", "auc"):
        expected = means.loc[own.index, name].to_numpy()
        assert own[name].to_numpy() == pytest.approx(expected)
        assert own[f"{name}_in_domain"].to_numpy() == pytest.approx(expected)


def test_between_renderings_it_is_what_the_drift_of_activations_says(transferred, table):
    drift = pd.read_csv(transferred.folder / "results/tables/activation_drift.csv")
    drift = drift[drift["compared"] == "perturbation"].set_index([*CURVE, "layer"])
    rows = table[(table["transferred"] == "perturbation") & (table["from"] == "clean")].set_index([*CURVE, "layer"])
    assert len(rows) == len(drift)
    expected = drift.loc[rows.index, "accuracy_transferred"]
    assert rows["accuracy"].to_numpy() == pytest.approx(expected.to_numpy(), abs=0.1 / rows["n_test"].max())


def test_the_figure_shows_all_datasets_and_is_audited_back_to_the_weights(transferred):
    svg = (transferred.folder / "results/figures/transfer.svg").read_text()
    for text in ("from Coins", "trained on Claims", "tested on Coins", "middle layer", "Area under the ROC curve"):
        assert text in svg
    assert (transferred.folder / "results/figures/transfer.png").read_bytes().startswith(b"\x89PNG")
    said = transferred.traced("results/figures/transfer.png")
    for rule in ("measure_transfer", "train_probes", "fetch_model"):
        assert rule in said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (nothing, set()),
        (setting("transfer", "layers", 2), JOBS | AFTER),
        (setting("intervals", "draws", 9), JOBS | AFTER | {"estimate_depth"}),
        (setting("depth", "jump_ratio", 1.2), {"estimate_depth", "plot_transfer"}),
        (setting("datasets", "coins", "label", "Pennies"), {"plot_transfer"}),
        (replace("workflow_scripts/measure_transfer.py", "n_left_out\": n_held_out - n_test", "n_left_out\": n_test"), JOBS | AFTER),
        (with_run(quantizations=["fp32"]), {"estimate_depth"} | AFTER),
    ],
)  # fmt: skip
def test_only_stale_transfers_are_made_again(transferred, tmp_path, change, expected):
    planned = plan(transferred.copy(tmp_path / "project"), Row(change, set(), ("transfer",)))
    assert planned == expected


def test_a_switch_makes_it_part_of_the_run(transferred, tmp_path):
    project = transferred.copy(tmp_path / "project")
    planned = plan(project, Row(setting("transfer", "measured", True), set()))
    assert planned == {"record_configuration", "audit_results", "summarise_run"}, "what is there is taken up"


def test_the_default_run_has_nothing_to_do_with_transfer(transferred, tmp_path):
    assert not plan(transferred.copy(tmp_path / "project"), Row(nothing, set())) & (JOBS | AFTER)


def test_one_dataset_has_a_table_and_no_figure(transferred, tmp_path):
    planned = plan(transferred.copy(tmp_path / "project"), Row(with_run(datasets=["coins"]), set(), ("transfer",)))
    assert planned == JOBS | {"collect_transfer"}
