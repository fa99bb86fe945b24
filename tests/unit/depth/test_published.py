"""The published numbers are what their README says, and runs are compared with them cell by cell."""

import numpy as np
import pandas as pd
import pytest
import yaml
from compare_published import compare_published
from conceptdepth.configuration.settings import published_cells
from conceptdepth.depth.definitions import converging_point
from conceptdepth.depth.published import counted_from_0, in_our_words, published_curves
from conceptdepth.ground.names import CURVE
from plot_published_curves import plot_published_curves
from plot_published_sizes import plot_published_sizes
from sklearn.model_selection import train_test_split
from test_depth import PUBLISHED

POINTS, CURVES, TABLE3, MODELS, DATASETS = (
    pd.read_csv(PUBLISHED / f"{name}.csv")
    for name in ("site_peak_converge", "site_curves_7B", "table3_acc", "models", "datasets")
)


# --- The data ---------------------------------------------------------------------------------------------


def reference_test_labels(class_0: int, class_1: int) -> np.ndarray:
    labels = np.repeat([0, 1], [class_0, class_1])
    return train_test_split(labels, test_size=0.4, random_state=42)[1]


def test_sizes():
    assert len(POINTS) == 81
    assert len(CURVES.groupby(["model", "dataset"])) == 27
    assert len(TABLE3) == 58
    assert list(MODELS["model"]) == list(POINTS["model"].unique())
    assert list(DATASETS["dataset"]) == list(POINTS["dataset"].unique())


def test_sizes_of_models_are_in_their_names():
    names = MODELS["family"] + "-" + MODELS["billion_parameters"].map("{:g}B".format)
    assert list(names) == list(MODELS["model"])


def test_layers_of_models_are_those_of_the_registry_and_of_the_converging_points():
    registry = yaml.safe_load((PUBLISHED.parents[1] / "config/models.yaml").read_text())["models"]
    known = {entry["published"]: entry["layers"] for entry in registry.values() if "published" in entry}
    assert MODELS.set_index("model")["n_layers"].to_dict() == known
    layers = POINTS["converge_pct"] / 100 * POINTS["model"].map(known)
    np.testing.assert_allclose(layers, layers.round(), atol=1e-3)


def test_converging_points_counted_from_0_are_those_of_the_curves():
    table = in_our_words(POINTS).merge(MODELS, left_on="published_model", right_on="model")
    table["found"] = counted_from_0(table["published_converging_point"], table["n_layers"])
    for (model, dataset), curve in CURVES.groupby(["model", "dataset"]):
        expected = converging_point(curve.sort_values("layer_0based")["accuracy"])
        cell = table[(table["published_model"] == model) & (table["published_dataset"] == dataset)]
        off = round((cell["found"].item() - expected) * len(curve), 3)
        # Published points are clipped to the third and the last layer.
        assert off == 0 or (off == 1 and expected == 0) or (off == -1 and expected * len(curve) == len(curve) - 1)


def test_majority_is_that_of_the_reference_split():
    for row in DATASETS.itertuples():
        share = reference_test_labels(row.class_0, row.class_1).mean()
        assert row.majority == pytest.approx(max(share, 1 - share), abs=6e-5)


def test_accuracies_are_whole_numbers_of_right_answers_but_for_those_that_the_readme_names():
    sizes = {row.dataset: len(reference_test_labels(row.class_0, row.class_1)) for row in DATASETS.itertuples()}

    def broken(table, accuracy):
        right = accuracy * table["dataset"].map(sizes)
        cells = table[(right - right.round()).abs() > 0.02][["model", "dataset"]]
        return set(cells.itertuples(index=False, name=None))

    assert broken(POINTS, POINTS["peak_acc_pct"] / 100) == {("Gemma-2B", "Common")}
    assert broken(CURVES, CURVES["accuracy"]) == {("Gemma-7B", "Cities")}
    fewer = POINTS.set_index(["model", "dataset"]).loc[("Gemma-2B", "Common"), "peak_acc_pct"]
    assert fewer / 100 * len(reference_test_labels(3000, 3000)) == pytest.approx(1610, abs=0.02)


def test_table_3_stands_in_the_curves():
    curves = CURVES.groupby(["model", "dataset"])["accuracy"].apply(np.array)
    checked = 0
    for row in TABLE3.itertuples(index=False):
        cell = (row.model.partition(" (")[0], row.dataset)
        for value in [value for value in row[2:] if cell in curves.index and not np.isnan(value)]:
            assert np.abs(curves[cell] - value).min() <= 0.00051, (cell, value)
            checked += 1
    assert checked == 116


# --- Which cells are compared -----------------------------------------------------------------------------

CONFIG = {
    "run": {"models": ["ours", "other"], "quantizations": ["int8", "fp32"], "datasets": ["towns"], "perturbations": ["plain", "noise"]},
    "models": {"ours": {"published": "Gemma-7B"}, "other": {}},
    "datasets": {"towns": {"published": "Cities"}},
    "perturbations": {"plain": {"prepend": []}, "noise": {"prepend": ["aaa"], "seed": 0}},
    "activations": {"sites": ["residual", "mlp_input"], "positions": ["last"]},
}  # fmt: skip

CELLS = {
    "models": {"ours": {"published": "Gemma-7B"}},
    "datasets": {"towns": {"published": "Cities"}},
    "perturbations": {"plain": {"prepend": []}},
}


def test_published_cells_are_32_bit_on_plain_texts():
    assert published_cells(CONFIG) == CELLS


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("run", {"models": ["other"]}),
        ("run", {"quantizations": ["int8"]}),
        ("run", {"perturbations": ["noise"]}),
        ("datasets", {"towns": {}}),
        ("activations", {"sites": ["residual"]}),
        ("activations", {"sites": ["mlp_input"], "positions": ["text_mean"]}),
    ],
)
def test_a_run_without_such_cells_has_none(section, change):
    assert published_cells(CONFIG | {section: CONFIG[section] | change}) == {}


# --- The comparison ---------------------------------------------------------------------------------------


def scores_like_published(shift: float) -> pd.DataFrame:
    """Scores of two splits whose mean is the published curve of Gemma-7B on Cities, plus ``shift``."""
    curve = CURVES[(CURVES["model"] == "Gemma-7B") & (CURVES["dataset"] == "Cities")]
    cell = {
        "dataset": "towns", "site": "mlp_input", "position": "last", "probe": "logistic_regression", "target": "concept", "n_layers": 28, "majority": 0.5,
    }  # fmt: skip
    rows = [
        cell | {"model": m, "quantization": q, "perturbation": p, "layer": layer, "seed": seed, "accuracy": accuracy + shift + seed}
        for m in ("ours", "other") for q in ("int8", "fp32") for p in ("plain", "noise") for seed in (-0.1, 0.1)
        for layer, accuracy in zip(curve["layer_0based"], curve["accuracy"])
    ]  # fmt: skip
    return pd.DataFrame(rows)


def depths_like(scores: pd.DataFrame) -> pd.DataFrame:
    cells = scores[list(CURVE)].drop_duplicates()
    return cells.assign(peak_accuracy=0.9, converging_point_published=0.5)


def compared(scores):
    return compare_published(depths_like(scores), scores, cells=CELLS, points=POINTS, curves=CURVES)


def test_a_cell_is_compared_with_its_published_numbers():
    (row,) = compared(scores_like_published(-0.02)).to_dict("records")
    assert (row["model"], row["published_model"], row["quantization"], row["perturbation"]) == (
        "ours", "Gemma-7B", "fp32", "plain",
    )  # fmt: skip
    assert (row["computed_peak_accuracy"], row["published_peak_accuracy"]) == (0.9, 1.0)
    assert row["difference_peak_accuracy"] == pytest.approx(-0.1)
    assert row["published_converging_point"] == pytest.approx(12 / 28, abs=1e-6)
    assert row["difference_converging_point"] == pytest.approx(0.5 - 12 / 28, abs=1e-6)
    assert row["difference_curve"] == pytest.approx(0.02)


def test_a_curve_with_another_number_of_layers_is_not_compared():
    scores = scores_like_published(0)
    (row,) = compared(scores[scores["layer"] < 18].assign(n_layers=18)).to_dict("records")
    assert np.isnan(row["difference_curve"])
    assert row["published_peak_accuracy"] == 1


def test_published_curves_are_given_for_the_cells_that_are_drawn():
    scores = scores_like_published(0)
    curve = published_curves(scores, CELLS, CURVES)
    assert set(curve["model"]) == {"ours"}
    np.testing.assert_allclose(curve["accuracy"], scores.groupby("layer")["accuracy"].mean())
    assert len(published_curves(scores[scores["quantization"] == "int8"], CELLS, CURVES)) == 0


# --- The figures ------------------------------------------------------------------------------------------


def test_the_published_curves_are_drawn_with_their_converging_points():
    figure = plot_published_curves(CURVES, POINTS, DATASETS)
    panels = {axis.get_title(loc="left"): axis for axis in figure.axes}
    assert list(panels) == list(DATASETS["dataset"])
    curve, point = panels["Cities"].lines[:2]
    np.testing.assert_allclose(curve.get_xdata(), np.arange(28) / 28)
    # 42.8571 % of 28 layers is the 12th, whose index is 11.
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (11 / 28, curve.get_ydata()[11])


def test_sizes_are_drawn_for_both_quantities_and_the_smaller_sample_is_hollow():
    figure = plot_published_sizes(POINTS, MODELS, DATASETS)
    assert len(figure.axes) == 18
    common = figure.axes[10]
    assert common.get_title(loc="left") == "Common"
    hollow = [line for line in common.lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in hollow] == [(2, 67.0833)]
    qwen = next(line for line in common.lines if len(line.get_xdata()) == 5)
    assert list(qwen.get_xdata()) == [0.5, 1.8, 4, 7, 14]
