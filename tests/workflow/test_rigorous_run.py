"""config/rigorous.yaml end to end on the tiny model: every probe and control, and what is made of them."""

import sys

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from conceptdepth.ground import names

CURVE = list(names.CURVE)
SEEDS = [42, 43]
"""Splits of this run: two show what five would."""

QUICK = {
    "simulation": {"repetitions": 1, "pairs": 30, "draws": 20, "permutations": 19},
    "probes": {"seeds": SEEDS, "C": [0.0001, 0.01]},  # A choice of two shows what one of five would.
    "intervals": {"draws": 500, "permutations": 1000},
}


def run_rigorous(project, *targets):
    (project.folder / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    overlays = ["--configfile", "overlay.yaml", "config/rigorous.yaml", "quick.yaml"]
    return project.run(sys.executable, "-m", "snakemake", *targets, "--cores", "2", *overlays)


@pytest.fixture(scope="module")
def rigorous(finished, tmp_path_factory):
    project = finished.copy(tmp_path_factory.mktemp("rigorous") / "project")
    project.overlay(lambda config: config["run"].update(models=["tiny"], quantizations=["fp32"]))
    # Four groups are too few for stratified splits, and said to be.
    few = run_rigorous(project, "results/probes/tiny/fp32/coins.clean.csv")
    assert "needs at least 5 groups" in few.stdout + few.stderr
    project.overlay(lambda config: config["datasets"]["coins"]["source"].update(groups=8))
    result = run_rigorous(project)
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture(scope="module")
def scores(rigorous):
    return pd.read_csv(rigorous.folder / "results/tables/layer_scores.csv")


def test_each_probe_is_trained_for_the_concept_and_for_each_control(scores):
    cells = scores.drop_duplicates(list(names.CELL))
    assert len(scores) == len(cells) * (3 + 1) * len(SEEDS) * 2 * 4  # layers and the embedding, seeds, probes, targets
    assert set(scores["quantization"]) == {"fp32", "rerun", "random"}
    assert not scores.duplicated([*CURVE, "target", "layer", "seed"]).any()
    assert set(scores["target"]) == {"concept", "partial_out", "shuffled_labels", "control_task"}
    assert set(scores.loc[scores["probe"] == "logistic_regression", "C"]) <= {0.00001, 0.0001, 0.001, 0.01, 0.1}


def test_selectivity_is_accuracy_above_that_of_the_control_task(scores):
    accuracy = scores.pivot(index=[*CURVE, "layer", "seed"], columns="target", values="accuracy")
    of_concept = scores[scores["target"] == "concept"].set_index([*CURVE, "layer", "seed"])["selectivity"]
    np.testing.assert_allclose(of_concept, (accuracy["concept"] - accuracy["control_task"]).loc[of_concept.index])
    assert scores.loc[scores["target"] != "concept", "selectivity"].isna().all()


def test_depths_without_confounds_stand_beside_those_of_the_concept(rigorous, scores):
    depths = pd.read_csv(rigorous.folder / "results/tables/concept_depth.csv").set_index(CURVE)
    table = pd.read_csv(rigorous.folder / "results/tables/partial_depth.csv")
    assert set(table["partial_out"]) == {"length words norm"}
    mean = table[table["quantity"] == "mean_accuracy"].set_index(CURVE)
    assert sorted(mean.index) == sorted(depths.index)
    np.testing.assert_allclose(mean["raw"], depths["mean_accuracy"].loc[mean.index])
    means = scores[scores["target"] == "partial_out"].groupby(CURVE)["accuracy"].mean()
    np.testing.assert_allclose(mean["partial"], means.loc[mean.index])


def test_depths_are_of_the_concept_with_an_interval_for_each_curve(rigorous, scores):
    depths = pd.read_csv(rigorous.folder / "results/tables/concept_depth.csv")
    scores = scores[scores["site"] != "embedding"]
    assert len(depths) == len(depths[CURVE].drop_duplicates()) == len(scores[CURVE].drop_duplicates())
    assert (depths["n_seeds"] == len(SEEDS)).all()
    means = scores[scores["target"] == "concept"].groupby(CURVE)["accuracy"].mean()
    np.testing.assert_allclose(depths.set_index(CURVE)["mean_accuracy"].loc[means.index], means)
    assert (depths["mean_accuracy_low"] <= depths["mean_accuracy"] + 1e-9).all()
    assert (depths["mean_accuracy"] <= depths["mean_accuracy_high"] + 1e-9).all()
    assert depths["p_above_chance"].between(0, 1).all()
    layers = pd.read_csv(rigorous.folder / "results/tables/layer_intervals.csv")
    assert len(layers) == 3 * len(depths)


def test_each_curve_is_held_against_the_best_of_its_baselines(rigorous, scores):
    depths = pd.read_csv(rigorous.folder / "results/tables/concept_depth.csv")
    texts = pd.read_csv(rigorous.folder / "results/tables/baseline_scores.csv")
    assert set(texts["baseline"]) == {"bag_of_words", "tf_idf", "text_length"}
    best_text = texts.groupby(["dataset", "perturbation", "baseline"])["accuracy"].mean().groupby(level=[0, 1]).max()
    concept = scores[scores["target"] == "concept"].groupby([*CURVE, "layer"])["accuracy"].mean()
    for row in depths.to_dict("records"):
        own_names = [row[name] for name in CURVE]
        embedding = concept[*own_names[:4], "embedding", *own_names[5:], 0]
        best = np.maximum(best_text[row["dataset"], row["perturbation"]], embedding)
        if row["quantization"] != "random":
            best = np.maximum(best, concept[own_names[0], "random", *own_names[2:]])
        assert row["baseline_accuracy"] >= np.max(best) - 1e-9
        if row["baseline"] != "majority":
            assert row["baseline_accuracy"] == pytest.approx(np.max(best))


def test_the_data_audit_has_every_check_of_every_dataset(rigorous):
    table = pd.read_csv(rigorous.folder / "results/tables/data_audit.csv")
    assert set(table["dataset"]) == {"coins", "claims"}
    assert table.groupby("dataset").size().nunique() == 1
    assert set(table["verdict"]) <= {"ok", "warning", "fact"}


def test_draws_of_formats_and_perturbations_are_paired(rigorous):
    depths = pd.read_csv(rigorous.folder / "results/tables/concept_depth.csv").set_index(CURVE)
    differences = pd.read_csv(rigorous.folder / "results/tables/depth_differences.csv")
    assert set(differences["compared"]) == {"quantization", "perturbation"}
    for row in differences[differences["quantity"] == "peak_accuracy"].to_dict("records"):
        second = tuple(row[name] for name in CURVE)
        first = tuple(row["first"] if name == row["compared"] else row[name] for name in CURVE)
        found = depths.loc[[second], "peak_accuracy"].item() - depths.loc[[first], "peak_accuracy"].item()
        assert row["difference"] == pytest.approx(found)
    with h5py.File(rigorous.folder / "results/depth/draws.h5") as file:
        draws = file["tiny/fp32/coins/clean/mlp_input/last/mass_mean/peak_accuracy"]
        assert draws.shape == (QUICK["intervals"]["draws"],)


def test_claims_are_held_against_the_run_and_the_published_numbers(rigorous):
    claims = pd.read_csv(rigorous.folder / "results/tables/claims.csv")
    assert set(claims["source"]) == {"run", "published"}
    noise = claims[(claims["source"] == "run") & (claims["claim"] == "noise_lowers_the_peak")]
    assert noise["quantity"].tolist() == ["held_out_peak_accuracy", "peak_accuracy"]
    assert (noise["n_datasets"] == 2).all()
    assert (noise["verdict"] == "undecided").all(), "two datasets are too few"
    assert set(claims["verdict"]) <= {"supported", "contradicted", "undecided"}


def test_probes_are_transferred_in_formats_that_are_no_controls(rigorous):
    table = pd.read_csv(rigorous.folder / "results/tables/transfer.csv")
    assert set(table["quantization"]) == {"fp32"}
    assert set(table["probe"]) == {"logistic_regression", "mass_mean"}
    assert (rigorous.folder / "results/figures/transfer.svg").exists()


def test_all_of_it_is_audited(rigorous):
    result = rigorous.conceptdepth("audit", "--all")
    assert "intact" in result.stdout


WITHOUT_DRAWS = [f"results/tables/{name}.csv" for name in ("concept_depth", "depth_differences", "claims")]


@pytest.mark.parametrize(
    "targets", [[*WITHOUT_DRAWS, "results/figures/depths.svg"], pytest.param([], marks=pytest.mark.long)], ids=len
)
def test_without_draws_the_tables_say_that_nothing_was_drawn(finished, tmp_path, targets):
    project = finished.copy(tmp_path / "project")
    project.overlay(lambda config: config.update(intervals={"draws": 0, "permutations": 0}))
    result = project.snakemake(*targets)
    assert result.returncode == 0, result.stderr
    before = pd.read_csv(finished.folder / "results/tables/concept_depth.csv")
    depths = pd.read_csv(project.folder / "results/tables/concept_depth.csv")
    same = ["jump_point", "converging_point", "converging_point_published", "peak_accuracy", "gain_centre"]
    pd.testing.assert_frame_equal(depths[[*CURVE, *same]], before[[*CURVE, *same]])
    unknown = [
        "gain_centre_low",
        "mean_accuracy_high",
        "one_se_depth",
        "p_above_chance",
        "band_noise",
        "above_baselines",
    ]
    assert depths[unknown].isna().all(axis=None)
    differences = pd.read_csv(project.folder / "results/tables/depth_differences.csv")
    assert differences["difference"].notna().any()
    assert differences[["low", "high", "p", "p_adjusted"]].isna().all(axis=None)
    claims = pd.read_csv(project.folder / "results/tables/claims.csv")
    of_depth = (claims["source"] == "run") & (claims["quantity"] == "gain_centre")
    assert (claims.loc[of_depth, "n_datasets"] == 0).all(), "nothing says which cells have a depth"
