"""Drift of activations against closed forms and naive loops, and what probes make of activations that they were not trained on."""

import itertools
from itertools import permutations

import h5py
import numpy as np
import pandas as pd
import pytest
from activation_files import write_activations
from conceptdepth.depth.drift import cosine, linear_cka, measures, outlier_share, relative_change
from measure_drift import Files, measure_drift
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_similarity

RANDOM = np.random.default_rng(0)
WIDE, TALL = RANDOM.normal(size=(20, 50)), RANDOM.normal(size=(60, 10))


def hsic(x, y):
    """The Hilbert-Schmidt independence criterion of linear kernels as Kornblith et al. define it, without its factor."""
    n = len(x)
    centre = np.eye(n) - 1 / n
    return np.trace(x @ x.T @ centre @ y @ y.T @ centre)


@pytest.mark.parametrize("x", [WIDE, TALL], ids=["wide", "tall"])
def test_cka_is_its_definition_and_ignores_rotation_scale_and_shift(x):
    y = x + RANDOM.normal(size=x.shape)
    assert linear_cka(x, y)[0] == pytest.approx(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)))
    rotation = np.linalg.qr(RANDOM.normal(size=(x.shape[1], x.shape[1]))).Q
    assert linear_cka(x, 3 * x @ rotation + 7) == pytest.approx((1, 1))
    assert linear_cka(x, RANDOM.normal(size=x.shape))[0] < linear_cka(x, y)[0] < 1


def unbiased_hsic(x, y):
    """The mean of Song et al.'s kernel h over all ordered quadruples of statements (equation 4), by a naive loop."""
    k, l = x @ x.T, y @ y.T  # noqa: E741
    total = [k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in permutations(range(len(x)), 4)]
    return np.mean(total)


@pytest.mark.parametrize("features", [4, 12], ids=["fewer", "more"])
def test_cka_without_bias_is_the_unbiased_estimate_of_a_naive_loop(features):
    x, y = RANDOM.normal(size=(9, features)), RANDOM.normal(size=(9, features - 1))
    y[:, 0] += x[:, 0]
    expected = unbiased_hsic(x, y) / np.sqrt(unbiased_hsic(x, x) * unbiased_hsic(y, y))
    assert linear_cka(x, y)[1] == pytest.approx(expected)
    assert linear_cka(x + 5, 2 * y - 1)[1] == pytest.approx(expected), "shift and scale"
    assert np.isnan(linear_cka(x[:3], y[:3])[1])


def test_of_few_statements_cka_is_high_whatever_they_are_and_without_bias_it_is_not():
    found = np.mean([linear_cka(*RANDOM.normal(size=(2, 40, 100))) for _ in range(60)], axis=0)
    assert found[0] > 0.6
    assert abs(found[1]) < 0.02


def test_cosine_is_scikit_learns():
    other = WIDE + RANDOM.normal(size=WIDE.shape)
    assert cosine(WIDE, other) == pytest.approx(np.diag(cosine_similarity(WIDE, other)).mean())
    assert cosine(WIDE, -WIDE) == pytest.approx(-1)


def test_the_relative_change_is_what_was_added():
    assert relative_change(WIDE, 1.01 * WIDE) == pytest.approx(0.01)
    unit = WIDE / np.linalg.norm(WIDE, axis=1, keepdims=True)
    assert relative_change(unit, unit + 1e-6 * np.roll(unit, 1, axis=0)) == pytest.approx(1e-6)


def test_outliers_are_values_on_either_side():
    assert outlier_share(np.array([[6.0, -6.0], [5.9, 0.0]]), 6.0) == 0.5


def test_nothing_moves_between_equal_vectors():
    found = measures(TALL.astype(np.float32), TALL.astype(np.float32), outlier=2.0)
    assert found["relative_change"] == 0
    assert found["outliers_first"] == found["outliers_second"] == np.mean(np.abs(TALL.astype(np.float32)) >= 2)
    np.testing.assert_allclose([found["cosine"], found["cka"]], 1)


POSITIONS, PROBES = ["last", "text_mean"], ["logistic_regression", "mlp"]
N, TEST = 40, np.arange(24, 40)
LABELS = np.tile([0, 1], N // 2).astype(np.int8)


def write_cell(folder, quantization, perturbation, vectors):
    """Write activations of two layers, and a real probe of each."""
    name = f"{quantization}.{perturbation}"
    groups = np.repeat(np.arange(N // 2), 2).astype(str).astype(object)
    rows = [{"id": f"s{n}", "label": label, "group": group} for n, (label, group) in enumerate(zip(LABELS, groups))]
    at = {"residual": {"last": vectors, "text_mean": vectors[::-1]}, "embedding": dict.fromkeys(POSITIONS, vectors[:1])}
    write_activations(folder / f"{name}.activations.h5", at, rows)
    train = np.setdiff1d(np.arange(N), TEST)
    fitted = [LogisticRegression().fit(layer[train], LABELS[train]) for layer in vectors]
    at_position = {"last": list(zip(fitted, vectors)), "text_mean": list(zip(fitted, vectors))[::-1]}
    with h5py.File(folder / f"{name}.probes.h5", "w") as file:
        names = {"model": "m", "quantization": quantization, "dataset": "d", "perturbation": perturbation}
        file.attrs.update(names | {"sites": ["residual"], "positions": POSITIONS, "probes": PROBES})
        file.create_dataset("label", data=LABELS)
        file.create_dataset("group", data=groups, dtype=h5py.string_dtype())
        for position, probe in itertools.product(POSITIONS, PROBES):
            split = file.create_group(f"residual/{position}/{probe}/concept/seed_1")
            split.create_dataset("test", data=TEST)
            decisions = [model.decision_function(layer[TEST]) for model, layer in at_position[position]]
            split.create_dataset("decision", data=decisions)
            if probe != "mlp":
                coefficients = [np.append(model.coef_, model.intercept_) for model, _ in at_position[position]]
                split.create_dataset("coefficients", data=coefficients)
    return Files(str(folder / f"{name}.activations.h5"), str(folder / f"{name}.probes.h5")), fitted


@pytest.fixture
def table_and_truth(tmp_path):
    draw = np.random.default_rng(1)
    first = draw.normal(size=(2, N, 5)).astype(np.float32)
    first[:, :, 0] += 2 * LABELS
    moved = first.copy()
    moved[1] = -moved[1]  # The second layer tells the opposite.
    cells = {
        (quantization, perturbation): write_cell(tmp_path, quantization, perturbation, vectors)
        for quantization, perturbation, vectors in (
            ("fp32", "clean", first),
            ("int8", "clean", moved),
            ("fp32", "noise", first),
            ("int8", "noise", moved),
        )
    }
    table = measure_drift(
        [files for files, _ in cells.values()],
        order={"quantization": ["fp32", "int8"], "perturbation": ["clean", "noise"]},
        outlier=2.0,
        intervals={"draws": 200, "seed": 0, "level": 0.95},
    )
    of_mean = table[table["position"] == "text_mean"].sort_values("layer", ascending=False)
    alike = [of_mean, table[table["position"] == "last"].sort_values("layer")]
    by = ["compared", "quantization", "perturbation", "probe"]
    one, other = (rows.sort_values(by, kind="stable").drop(columns=["position", "layer"]) for rows in alike)
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))  # Its layers are turned.
    return table[table["position"] == "last"], first, moved, cells["fp32", "clean"][1]


def test_each_cell_is_compared_with_the_first_of_what_it_differs_in(table_and_truth):
    table = table_and_truth[0]
    pairs = table[["compared", "first", "second", "quantization", "perturbation"]].drop_duplicates()
    assert sorted(map(tuple, pairs.to_numpy())) == [
        ("perturbation", "clean", "noise", "fp32", "noise"),
        ("perturbation", "clean", "noise", "int8", "noise"),
        ("quantization", "fp32", "int8", "int8", "clean"),
        ("quantization", "fp32", "int8", "int8", "noise"),
    ]
    assert len(table) == len(pairs) * 2 * 2, "layers and probes"
    noise = table[table["compared"] == "perturbation"]
    np.testing.assert_allclose(noise[["cosine", "cka"]], 1)
    assert (noise["relative_change"] == 0).all()


def test_a_probe_is_transferred_as_scikit_learn_would(table_and_truth):
    table, first, moved, fitted = table_and_truth
    linear = table[(table["probe"] == "logistic_regression") & (table["compared"] == "quantization")]
    of_pair = linear[linear["perturbation"] == "clean"].set_index("layer")
    for layer, model in enumerate(fitted):
        row = of_pair.loc[layer]
        assert row["accuracy_first"] == pytest.approx(model.score(first[layer][TEST], LABELS[TEST]))
        assert row["accuracy_transferred"] == pytest.approx(model.score(moved[layer][TEST], LABELS[TEST]))
        assert row["transfer_change"] == pytest.approx(row["accuracy_transferred"] - row["accuracy_first"])
    assert of_pair.loc[0, "transfer_change"] == 0
    assert of_pair.loc[0, ["transfer_change_low", "transfer_change_high"]].isna().all(), "nothing varies"
    opposite = of_pair.loc[1]
    assert opposite["transfer_change"] < -0.3, "the second layer tells the opposite"
    assert opposite["transfer_change_low"] < opposite["transfer_change"] < opposite["transfer_change_high"]
    assert of_pair.loc[1, "accuracy_second"] > 0.7, "and a probe of its own tells it"


def test_a_probe_without_coefficients_is_not_transferred(table_and_truth):
    table = table_and_truth[0]
    other = table[table["probe"] == "mlp"]
    columns = ["accuracy_transferred", "transfer_change", "transfer_change_low", "transfer_change_high"]
    assert other[columns].isna().all(axis=None)
    pd.testing.assert_series_equal(
        other["cosine"].reset_index(drop=True),
        table.loc[table["probe"] == "logistic_regression", "cosine"].reset_index(drop=True),
    )
