"""What probes predicted comes back from their file as it was scored, and in the order of the configuration."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from activation_files import write_activations
from conceptdepth.activations.store import open_activations, vectors_of
from conceptdepth.depth.cells import Controls, estimate_all
from conceptdepth.depth.resampling import IntervalSettings, accuracy
from conceptdepth.ground.names import PROBED
from conceptdepth.probes.estimators import ProbeSettings
from conceptdepth.probes.predictions import read_curves, read_linear
from train_probes import train_probes

CELL = {"model": "m", "quantization": "fp32", "dataset": "d", "perturbation": "clean"}
POSITIONS = ["text_last", "prompt_mean", "last"]
"""In no order of the alphabet; the first and the last are the same token."""

SITES = ["residual", "mlp_input"]
KINDS = ["ridge", "mass_mean", "logistic_regression"]


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """Return scores and curves of two layers, trained by three probes that are not in the order of the alphabet."""
    folder = tmp_path_factory.mktemp("cell")
    prompts = [{"id": str(i), "label": i % 2, "group": str(i // 2)} for i in range(80)]
    noise = np.random.default_rng(0).normal(size=(2, 80, 4))
    vectors = noise + np.array([row["label"] for row in prompts])[:, np.newaxis]
    sites = {"residual": (vectors, 2 * noise), "mlp_input": (vectors, noise), "embedding": (noise[:1], noise[1:])}
    at = {site: dict(zip(POSITIONS, (last, mean, last))) for site, (last, mean) in sites.items()}
    write_activations(folder / "cell.h5", at, prompts)
    train_probes(
        str(folder / "cell.h5"),
        cell=CELL,
        settings=ProbeSettings(split="grouped", test_share=0.4, seeds=[9, 10], C=1.0, max_iter=100, kinds=KINDS),
        controls={"targets": ["shuffled_labels"], "embedding_layer": True},
        threads=1,
        scores=str(folder / "scores.csv"),
        probes=str(folder / "probes.h5"),
        record="0" * 64,
    )
    return pd.read_csv(folder / "scores.csv"), list(read_curves(str(folder / "probes.h5"))), folder / "probes.h5"


def test_curves_have_the_order_of_the_configuration_as_scores_do(cell):
    scores, curves, _ = cell
    assert list(scores["probe"].unique()) == KINDS
    expected = [
        {**CELL, "site": site, "position": position, "probe": probe}
        for site in (*SITES, "embedding")
        for position in POSITIONS
        for probe in KINDS
    ]
    assert [curve.names for curve in curves] == expected


def test_scores_begin_with_the_site_that_figures_show(cell):
    scores, _, _ = cell
    assert list(scores["site"].unique()) == [*SITES, "embedding"]
    assert list(scores["position"].unique()) == POSITIONS
    assert set(scores.loc[scores["site"] == "embedding", "n_layers"]) == {1}


def test_accuracies_of_predictions_are_the_scores_of_the_concept(cell):
    scores, curves, _ = cell
    concept = scores[scores["target"] == "concept"].set_index([*PROBED, "seed", "layer"])["accuracy"].sort_index()
    for curve in curves:
        found = sorted(
            tuple((split.predicted == curve.labels[split.test]).mean(axis=1).tolist()) for split in curve.splits
        )
        probed = tuple(curve.names[name] for name in PROBED)
        expected = sorted(tuple(concept[(*probed, seed)].tolist()) for seed in (9, 10))
        assert found == expected


def test_positions_that_are_one_token_share_their_probes(cell):
    """Once in the file, under both names; every other position has probes of its own."""
    scores, _, path = cell
    first, other, same = (scores[scores["position"] == name].drop(columns="position") for name in POSITIONS)
    pd.testing.assert_frame_equal(first.reset_index(drop=True), same.reset_index(drop=True))
    assert not np.allclose(first["accuracy"], other["accuracy"])
    with h5py.File(path) as file:
        for site in (*SITES, "embedding"):
            assert file[site]["text_last"] == file[site]["last"] != file[site]["prompt_mean"]
        assert file["mlp_input"]["last"] != file["residual"]["last"]


def test_curves_of_the_same_tokens_are_estimated_once_and_named_twice(cell):
    _, curves, path = cell
    first = {"text_last": "text_last", "prompt_mean": "prompt_mean", "last": "text_last"}
    assert {(curve.names["position"], curve.same_tokens_as) for curve in curves} == set(first.items())
    settings = IntervalSettings(level=0.9, draws=20, permutations=0, seed=0, correction="bh")
    depth = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95}
    found = estimate_all([str(path)], [], depth=depth, settings=settings)
    at = {tuple(one.names[name] for name in PROBED): one for one in found}
    for (site, position, probe), one in at.items():
        same = at[site, first[position], probe]
        assert one.values is same.values
        assert one.names["position"] == position
        assert one.facts["same_tokens_as"] == first[position]
        own = read_one(curves, site, position, probe)
        assert one.values["mean_accuracy"] == pytest.approx(accuracy(own).mean())


def read_one(curves, *probed):
    return next(curve for curve in curves if tuple(curve.names[name] for name in PROBED) == probed)


def test_labels_and_groups_are_those_of_the_activations(cell):
    _, curves, path = cell
    with h5py.File(path) as file:
        assert file["group"].asstr()[:].tolist() == curves[0].groups.tolist() == [str(i // 2) for i in range(80)]
    names = np.unique(curves[0].groups.astype(str))
    np.testing.assert_array_equal(names[curves[0].group_numbers], curves[0].groups.astype(str))


def test_a_curve_is_compared_with_the_embedding_of_its_own_position(cell):
    _, curves, path = cell
    controls = Controls([str(path)], [])
    for curve in curves:
        if curve.names["site"] != "embedding":
            found = controls.of(curve)["embedding_layer"].names
            assert found == curve.names | {"site": "embedding"}


def test_linear_probes_decide_as_they_did_and_controls_come_behind_the_concept(cell):
    _, curves, path = cell
    linear = list(read_linear(str(path)))
    assert [curve.names for curve in linear] == [
        {name: curve.names[name] for name in PROBED} | {"target": target}
        for curve in curves
        for target in ("concept", "shuffled_labels")
    ]
    with h5py.File(path) as file, open_activations(path.parent / "cell.h5") as source:
        vectors = vectors_of(source, embedding=True)
        for curve in linear:
            assert list(curve.coefficients) == [9, 10]
            for seed, weights in curve.coefficients.items():
                split = file["/".join((*curve.names.values(), f"seed_{seed}"))]
                features = vectors[curve.names["site"], curve.names["position"]][:, split["test"][:]].astype(float)
                decided = np.einsum("lsd,ld->ls", features, weights[:, :-1]) + weights[:, -1:]
                np.testing.assert_allclose(decided, split["decision"], atol=1e-9)


def test_probes_that_are_not_linear_have_no_directions(cell, tmp_path):
    path = shutil.copy(cell[2], tmp_path / "probes.h5")
    with h5py.File(path, "r+") as file:
        for seed in (9, 10):
            del file[f"residual/last/ridge/concept/seed_{seed}/coefficients"]
    names = [tuple(curve.names.values()) for curve in read_linear(str(path))]
    assert ("residual", "last", "ridge", "concept") not in names
    assert ("residual", "last", "ridge", "shuffled_labels") in names
