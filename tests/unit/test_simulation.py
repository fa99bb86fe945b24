"""On synthetic activations with a known truth: a short version of tests/simulation.py, whose table is in docs/depth.md."""

import numpy as np
import pytest
from conceptdepth.estimates import IntervalSettings
from simulation import N_LAYERS, ONSET, first_above_chance, signals, simulate, table

SETTINGS = IntervalSettings(level=0.95, draws=200, permutations=99, seed=0, correction="bh")


@pytest.fixture(scope="module", params=["sharp", "none"])
def found(request):
    return request.param, simulate(signals()[request.param], repetitions=40, n_pairs=120, settings=SETTINGS, jobs=2)


def test_the_onset_of_a_signal_is_found_and_none_where_there_is_none(found):
    shape, estimates = found
    onset = ONSET / N_LAYERS if shape == "sharp" else 1.0
    called, early, median = first_above_chance(estimates, onset)
    assert early <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
    if shape == "sharp":
        assert called == 1
        assert median == onset


def test_intervals_of_accuracies_hold_the_truth_about_as_often_as_they_say(found):
    rows = table(found[1], SETTINGS).set_index("quantity")
    assert rows.loc["mean_accuracy", "coverage"] >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 40)
    assert rows.loc["mean_accuracy", "mean"] == pytest.approx(rows.loc["mean_accuracy", "truth"], abs=0.005)


def test_a_peak_is_too_high_and_a_held_out_one_is_not(found):
    rows = table(found[1], SETTINGS).set_index("quantity")
    too_high = rows["mean"] - rows["truth"]
    assert too_high["peak_accuracy"] > 0.01
    assert too_high["held_out_peak_accuracy"] < too_high["peak_accuracy"] / 2


def test_noise_makes_the_converging_point_late_and_leaves_the_centre_of_gain_at_the_onset(found):
    """The gain's centre is near the onset; the converging point comes late, as noise breaks its band."""
    rows = table(found[1], SETTINGS).set_index("quantity")
    if found[0] == "sharp":
        assert rows.loc["gain_centre", "mean"] == pytest.approx(ONSET / N_LAYERS, abs=0.08)
    late = rows["mean"] - rows["truth"]
    assert late["converging_point_published"] > 0.05
