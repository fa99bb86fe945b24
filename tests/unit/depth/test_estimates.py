"""Estimates of a curve: what is resampled, what is not, and the noise of the paper's band."""

from dataclasses import replace

import estimate_depth
import numpy as np
import pandas as pd
import pytest
from conceptdepth.depth.estimates import BOUNDS, SHARES, band_noise, estimate, first_below, with_intervals
from conceptdepth.depth.resampling import IntervalSettings, resamples
from conceptdepth.ground.names import CURVE
from conceptdepth.probes.predictions import Curve, Split
from scipy.stats import norm

DEPTH = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95}
SETTINGS = IntervalSettings(level=0.9, draws=500, permutations=200, seed=0, correction="bh")
NAMES = {
    "model": "m",
    "quantization": "q",
    "dataset": "d",
    "perturbation": "p",
    "site": "s",
    "position": "o",
    "probe": "l",
}
N = 400


def curve(chances, seed=0):
    """Return a curve of probes that are right with these chances, statement by statement on their own."""
    draw = np.random.default_rng(seed)
    labels = np.tile([0, 1], N // 2).astype(np.int8)
    correct = draw.random((len(chances), N)) < np.reshape(chances, (-1, 1))
    predicted = np.where(correct, labels, 1 - labels).astype(np.int8)
    return Curve(NAMES, labels, np.arange(N).astype(str).astype(object), (Split(np.arange(N), predicted),))


def estimates(chances, settings=SETTINGS, seed=0):
    given = curve(chances, seed)
    return estimate(given, resamples(given, settings), depth=DEPTH, settings=settings)


def test_a_sharp_rise_is_found_and_has_a_narrow_interval():
    row = with_intervals(estimates([0.5] * 5 + [0.95] * 5, seed=1), 0.9)
    assert row["first_above_baseline"] == 0.5
    assert row["gain_centre_low"] < 0.5 < row["gain_centre_high"] < row["gain_centre_low"] + 0.1
    assert row["mean_accuracy_low"] < row["mean_accuracy"] < row["mean_accuracy_high"]
    assert row["p_above_chance"] == 1 / 201
    assert (row["n_test"], row["n_layers"], row["n_seeds"], row["n_groups"]) == (N, 10, 1, pytest.approx(N))


def test_only_what_can_be_trusted_has_an_interval():
    row = with_intervals(estimates([0.6] * 5 + [0.95] * 5), 0.9)
    assert {name.removesuffix("_low") for name in row if name.endswith("_low")} == {*SHARES, *BOUNDS}
    assert not [name for name in row if name.endswith("_defined")]


def test_where_nothing_is_known_no_layer_is_above_chance():
    found = estimates([0.5] * 10, seed=1)
    assert found.facts["p_above_chance"] > 0.1
    assert np.isnan(found.facts["first_above_chance"])
    row = with_intervals(found, 0.9)
    assert np.isfinite([row["gain_centre"], row["mean_accuracy_low"]]).all()
    assert np.isnan([row["gain_centre_low"], row["gain_centre_high"]]).all(), "the centre of noise"
    assert estimates([0.5] * 5 + [0.9] * 5, seed=1).facts["first_above_chance"] == 0.5


def test_without_draws_and_permutations_only_what_needs_none_is_there():
    chances = [0.5] * 5 + [0.9] * 5
    row = with_intervals(estimates(chances, replace(SETTINGS, draws=0, permutations=0)), 0.9)
    with_all = with_intervals(estimates(chances), 0.9)
    kept = {name for name, value in row.items() if not (isinstance(value, float) and np.isnan(value))}
    assert {name: row[name] for name in kept} == {name: with_all[name] for name in kept}
    assert {"jump_point", "converging_point_published", "held_out_peak_accuracy", "mean_accuracy"} <= kept
    assert not {"one_se_depth", "p_above_chance", "band_noise", "gain_centre_low", "mean_accuracy_low"} & kept


def test_where_chance_was_not_tested_a_centre_of_gain_has_no_interval():
    row = with_intervals(estimates([0.5] * 5 + [0.95] * 5, replace(SETTINGS, permutations=0)), 0.9)
    assert np.isnan(row["gain_centre_low"])
    assert np.isfinite(row["mean_accuracy_low"])


def test_a_peak_among_equal_layers_is_lower_on_other_statements():
    found = [estimates([0.7] * 30, replace(SETTINGS, draws=2, permutations=0), seed).values for seed in range(20)]
    assert np.mean([values["peak_accuracy"] for values in found]) > 0.73
    assert np.mean([values["held_out_peak_accuracy"] for values in found]) == pytest.approx(0.7, abs=0.015)


@pytest.mark.parametrize("accuracy", [0.6, 0.9])
def test_the_noise_of_the_band_is_the_normal_one_of_a_ratio(accuracy):
    """Of two accuracies that have nothing to do with each other, at n test statements."""
    found = [
        estimates([accuracy] * 12, replace(SETTINGS, permutations=0), seed).facts["band_noise"] for seed in range(8)
    ]
    spread = np.sqrt(2 * accuracy * (1 - accuracy) / N) / accuracy
    assert np.mean(found) == pytest.approx(2 * norm.sf(0.03 / spread), abs=0.04)


def test_the_band_breaks_anywhere_at_least_as_often_as_in_one_step():
    whole = np.array([0.8, 0.8, 0.8])
    drawn = np.array([[0.8, 0.8, 0.8], [0.8, 0.9, 0.8], [0.8, 0.81, 0.8], [0.7, 0.8, 0.8]])
    assert band_noise(whole, drawn, 0.03) == {"band_noise": 3 / 8, "band_noise_anywhere": 2 / 4}


def test_the_first_layer_below_a_level():
    assert first_below(np.array([0.5, 0.04, 0.2, 0.01]), 0.05) == 1 / 4
    assert np.isnan(first_below(np.array([0.5, 0.4]), 0.05))


@pytest.mark.parametrize(
    ("correction", "enough"), [("bh", 2 * 40 / 0.1), ("by", 2 * 40 * (1 / np.arange(1, 41)).sum() / 0.1)]
)
def test_permutations_too_few_for_one_curve_among_many_are_said_to_be(correction, enough, caplog):
    """Of 40 curves with several splits, whose smallest p value is 2 in one more than there are permutations."""
    once = pd.DataFrame(dict.fromkeys(CURVE, "x") | {"same_tokens_as": "last", "n_seeds": 3}, index=range(40))
    once = once.assign(dataset=[f"d{n}" for n in range(40)], position="last")
    table = pd.concat([once, once.assign(position="text_last")])  # The same under another name, which counts once.
    caplog.set_level("WARNING")
    estimate_depth.warn_of_few(table, replace(SETTINGS, draws=10**6, permutations=200, correction=correction))
    (said,) = caplog.messages
    assert "intervals.permutations: one of 40 curves alone could not be called" in said
    needed = int(said.split("; ")[1].split()[0])
    assert needed == pytest.approx(enough, rel=0.02)
    caplog.clear()
    estimate_depth.warn_of_few(table, replace(SETTINGS, draws=10**6, permutations=needed, correction=correction))
    estimate_depth.warn_of_few(table, replace(SETTINGS, draws=0, permutations=0))
    assert not caplog.messages
