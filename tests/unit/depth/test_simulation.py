"""A short form of `make audit-statistics`: experiments whose truth is known, and how often what is said of them is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from audit_statistics import DEPTH, INTERVALS, LEVEL, every_case, missed
from conceptdepth.depth.coverage import COLUMNS, coverage
from conceptdepth.depth.simulation import (
    HARD,
    N_LAYERS,
    ONSET,
    WORDS,
    Case,
    cases,
    repetition,
    sample,
    signals,
    simulate,
)
from conceptdepth.depth.uncertainty import Design

REPETITIONS = 40

SHORT = ["sharp", "none", "as good as words"]
LONGER = ["one label a group", "none, 60 statements"]


@pytest.fixture(scope="module", params=[*SHORT, *(pytest.param(name, marks=pytest.mark.long) for name in LONGER)])
def found(request):
    case = every_case()[request.param]
    repetitions = simulate(case, repetitions=REPETITIONS, depth=DEPTH, intervals=INTERVALS, threads=2)
    table = coverage(repetitions, case, depth=DEPTH, level=LEVEL)
    table.insert(0, "experiment", request.param)
    return request.param, table


def test_no_interval_and_no_test_is_wrong_more_often_than_it_says(found):
    """Of 40 repetitions, which are the same in each run: at most three wrong, where two are meant and fewer expected."""
    name, table = found
    assert [*table][1:] == COLUMNS
    most = 3 / REPETITIONS + 1e-9
    wrong = table[(table["coverage"] < 1 - most) | (table["false_alarms"] > most)]
    assert wrong.empty, wrong
    held, tested = table["coverage"].notna(), table["false_alarms"].notna()
    assert set(table.loc[held, "quantity"]) >= {"mean_accuracy", "held_out_peak_accuracy", "accuracy of a layer", "change of a transferred probe"}  # fmt: skip
    assert set(table.loc[tested, "quantity"]) >= {"difference of mean_accuracy", "p_above_baseline"}


@pytest.mark.parametrize("number", [16, pytest.param(REPETITIONS, marks=pytest.mark.long)])
def test_without_what_training_adds_intervals_would_miss_the_truth(number):
    """The bootstrap of given probes, of ten splits, each of which trains on what others test."""
    case = every_case()["none, 10 splits"]
    repetitions = simulate(case, repetitions=number, depth=DEPTH, intervals=INTERVALS, threads=2)
    given = [replace(one, clean=replace(one.clean, design=Design(1.0, one.clean.design.df))) for one in repetitions]
    whole, of_given_probes = (
        coverage(found, case, depth=DEPTH, level=LEVEL).set_index("quantity").loc["mean_accuracy", "coverage"]
        for found in (repetitions, given)
    )
    assert of_given_probes <= 0.9
    assert whole >= 0.925


def test_estimates_are_where_the_truth_is(found):
    name, table = found
    signal, rows = every_case()[name].signal, table.set_index("quantity")
    assert rows.loc["mean_accuracy", "mean"] == pytest.approx(rows.loc["mean_accuracy", "truth"], abs=1e-9)
    too_high = rows["mean"] - rows["truth"]
    assert too_high["peak_accuracy"] > 0.01
    assert too_high["held_out_peak_accuracy"] < too_high["peak_accuracy"]
    if signal == "sharp":
        assert rows.loc["gain_centre", "mean"] == pytest.approx(ONSET / N_LAYERS, abs=0.03)
        assert rows.loc["converging_point", "mean"] > ONSET / N_LAYERS + 0.05, "noise breaks its band"


def test_a_bar_that_is_missed_is_said():
    case = every_case()["sharp"]
    table = coverage([repetition(case, seed, depth=DEPTH, intervals=INTERVALS) for seed in range(2)], case, depth=DEPTH, level=LEVEL)  # fmt: skip
    table.insert(0, "experiment", "sharp")
    wrong = table.assign(coverage=0.7, coverage_error=0.02, false_alarms=0.2, false_alarms_error=0.02)
    assert "sharp: mean_accuracy is held in 0.700" in list(missed(wrong, table.iloc[:0]))
    assert "sharp: p_above_chance is called in 0.200" in list(missed(wrong, table.iloc[:0]))


def test_what_is_easy_and_what_is_hard_is_with_a_signal_and_without():
    every = cases(500)
    assert set(every) == {*signals(), *HARD, *(f"none, {name}" for name in HARD)}
    assert every["gradual"].statements == 500


def test_vectors_have_the_signal_that_is_planted():
    drawn = sample(Case("sharp", 8000), seed=0)
    signal = signals()["sharp"]
    for vectors, strength in ((drawn.layers, signal), (drawn.perturbed, signal), (drawn.words, np.array([WORDS]))):
        of_classes = [vectors[:, drawn.labels == label].mean(axis=1) for label in (0, 1)]
        distance = of_classes[1] - of_classes[0]
        np.testing.assert_allclose(distance[:, 0], strength, atol=0.12)
        np.testing.assert_allclose(distance[:, 1:], 0, atol=0.12)
        np.testing.assert_allclose(vectors[..., 1].std(axis=1), 1, atol=0.05)
    # Partners share half of their noise, a layer most of the last's, a perturbation half of the clean ones'.
    noise = drawn.layers[0, :, 1].reshape(-1, 2)
    assert np.corrcoef(noise.T)[0, 1] == pytest.approx(0.5, abs=0.05)
    assert (drawn.groups.reshape(-1, 2)[:, 0] == drawn.groups.reshape(-1, 2)[:, 1]).all()
    assert np.corrcoef(drawn.layers[0, :, 1], drawn.layers[1, :, 1])[0, 1] == pytest.approx(np.sqrt(0.8), abs=0.05)
    assert np.corrcoef(drawn.layers[0, :, 1], drawn.perturbed[0, :, 1])[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.05)


def test_hard_experiments_are_what_they_are_called():
    one_label = sample(Case(**HARD["one label a group"]), seed=0)
    sizes = np.unique(one_label.groups.astype(str), return_counts=True)[1]
    assert sizes.max() > 4 * np.median(sizes)
    assert all(len(set(one_label.labels[one_label.groups == name])) == 1 for name in set(one_label.groups))
    assert sample(Case("none", 4000, **HARD["classes 70 to 30"]), seed=0).labels.mean() == pytest.approx(0.7, abs=0.03)
    heavy = sample(Case("none", 8000, heavy_tails=True), seed=0).layers[0, :, 0]
    assert np.mean(np.abs(heavy) > 4) > 10 * 6e-5
    n, d = sample(Case(**HARD["more features than statements"]), seed=0).layers.shape[1:]
    assert n < d
