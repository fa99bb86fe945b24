"""Probes of own vectors are those that a run trains: the same scores, decisions and weights, to the last digit."""

import h5py
import numpy as np
import pandas as pd
import pytest
from conceptdepth import Results, probe
from conceptdepth.configuration.schema import filled, on_top_of_files
from conceptdepth.depth.cells import estimate_all
from conceptdepth.depth.estimates import with_intervals
from conceptdepth.depth.resampling import IntervalSettings
from conceptdepth.ground.errors import UserError
from small_run import LAYERS, WIDTH

ONE = {"quantization": "fp32", "dataset": "cities", "perturbation": "clean"}


@pytest.fixture(scope="module")
def results(small_run):
    return Results(small_run)


@pytest.fixture(scope="module")
def probed(results):
    return probe(results.vectors(**ONE), site="residual", controls=["control_task"])


def test_scores_are_the_rows_of_the_run(results, probed):
    rows = results.table("layer_scores", **ONE, site="residual")
    assert probed.scores.columns.tolist() == rows.columns[5:].tolist()
    assert len(rows) == 2 * 3 * LAYERS
    pd.testing.assert_frame_equal(
        probed.scores, rows[probed.scores.columns], check_dtype=False, check_categorical=False, check_exact=True
    )


def test_arrays_without_names_give_the_same(results, probed):
    vectors = results.vectors(**ONE)
    own = probe(
        np.array(vectors.at(site="residual")), vectors.labels.tolist(), list(vectors.groups), controls=["control_task"]
    )
    assert own.scores.drop(columns="site").equals(probed.scores.drop(columns="site"))


def test_decisions_are_those_of_the_run(results, probed):
    rows = results.statements(**ONE, site="residual", layer=4)
    pd.testing.assert_frame_equal(probed.statements(layer=4), rows.drop(columns=["text", "prompt"]), check_exact=True)


def test_coefficients_are_those_of_the_run_and_decide(results, probed, small_run):
    with h5py.File(small_run / "probes/smollm2-135m/fp32/cities.clean.h5") as file:
        split = file["residual/last/logistic_regression/concept/seed_43"]
        coefficients = probed.coefficients(seed=43)
        np.testing.assert_array_equal(coefficients, split["coefficients"])
        tested = results.vectors(**ONE).at(site="residual")[4, split["test"][:]].astype(float)
        np.testing.assert_allclose(tested @ coefficients[4, :-1] + coefficients[4, -1], split["decision"][4], atol=1e-9)
    assert coefficients.shape == (LAYERS, WIDTH + 1)
    assert probe(results.vectors(**ONE), kinds=["mlp"], seeds=[1], max_iter=5).coefficients() is None


def test_curves_are_those_of_the_run(results, probed):
    run = results.curve(**ONE, site="residual").drop(columns=["model", *ONE, "low", "high", "standard_error"])
    pd.testing.assert_frame_equal(probed.curves, run, check_dtype=False, check_categorical=False, check_exact=True)


def test_depths_are_those_that_the_run_estimates_without_baselines_of_words(probed, small_run):
    config = filled(on_top_of_files({}))
    settings = IntervalSettings(**config["intervals"])
    path = str(small_run / "probes/smollm2-135m/fp32/cities.clean.h5")
    (found,) = [
        one
        for one in estimate_all([path], [], depth=config["depth"], settings=settings)
        if one.names["site"] == "residual"
    ]
    row = pd.Series(with_intervals(found, settings.level))
    own = probed.depth()
    pd.testing.assert_series_equal(own, row[own.index], check_exact=True)
    assert own["first_above_baseline"] == 3 / LAYERS
    assert own["baseline"] == "majority"


def test_without_groups_each_statement_is_one(results):
    vectors = np.array(results.vectors(**ONE).at())
    labels = results.vectors(**ONE).labels
    alone = [f"s{n}" for n in range(len(labels))]
    assert probe(vectors, labels).scores.equals(probe(vectors, labels, alone).scores)
    assert not probe(vectors, labels).scores.equals(probe(vectors, labels, results.vectors(**ONE).groups).scores)


def test_settings_are_the_default_ones_unless_they_are_given(results):
    default = filled(on_top_of_files({}))["probes"]
    vectors = results.vectors(**ONE)
    chosen = probe(vectors, seeds=(7,), kinds=("mass_mean", "ridge"), C=0.1, split="stratified")
    assert chosen.settings.max_iter == default["max_iter"]
    assert chosen.scores["seed"].unique().tolist() == [7]
    assert chosen.scores["probe"].unique().tolist() == ["mass_mean", "ridge"]
    assert chosen.coefficients("ridge").shape == (LAYERS, WIDTH + 1)
    assert chosen.depth("ridge")["probe"] == "ridge"
    assert chosen.statements("ridge")["seed"].unique().tolist() == [7]


def test_the_embedding_is_a_place_too(results):
    assert probe(results.vectors(**ONE), site="embedding").scores["layer"].unique().tolist() == [0]


GOOD = np.random.default_rng(0).normal(size=(2, 20, 3))
HALVES = [0, 1] * 10


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        ((GOOD,), {}, "there are no labels"),
        ((GOOD[0], HALVES), {}, r"shape \(n_layers, n_statements, d_model\), and these are float64 of shape \(20, 3\)"),
        ((GOOD.astype(str), HALVES), {}, "vectors are numbers"),
        ((GOOD * np.inf, HALVES), {}, "of these some are not"),
        ((GOOD, HALVES[:-1]), {}, r"labels are one of each statement, shape \(20,\), and these are of shape \(19,\)"),
        ((GOOD, HALVES, ["a"]), {}, "groups are one of each statement"),
        ((GOOD, [0, 2] * 10), {}, "labels are 0 or 1"),
        ((GOOD, [1] * 20), {}, "holds one class only"),
        ((GOOD, HALVES), {"kind": "ridge"}, r"probes: unknown key 'kind' \(did you mean 'kinds'\?\)"),
        ((GOOD, HALVES), {"kinds": ["svm"]}, r"probes.kinds\[0\]: 'svm' does not exist; allowed are logistic_regression"),
        ((GOOD, HALVES), {"C": -1}, "probes.C"),
        ((GOOD, HALVES), {"controls": ["shuffled"]}, r"controls.targets\[0\]: 'shuffled' does not exist"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(arguments, options, says):
    with pytest.raises(UserError, match=says):
        probe(*arguments, **options)


@pytest.mark.parametrize(("ask", "says"), [
    (lambda probed: probed.coefficients(seed=1), "there is no split 1; there are 42, 43, 44"),
    (lambda probed: probed.depth("ridge"), "there is no probe 'ridge' in what was probed; there are logistic_regression"),
    (lambda probed: probed.statements(layer=9), "there is no layer 9"),
])  # fmt: skip
def test_what_was_not_probed_is_answered_by_what_was(probed, ask, says):
    with pytest.raises(UserError, match=says):
        ask(probed)
