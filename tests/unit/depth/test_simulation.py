"""On synthetic activations with a known truth: a short version of the rule `simulate_coverage`, whose table is in docs/depth.md."""

import numpy as np
import pytest
from conceptdepth.depth.estimates import IntervalSettings
from conceptdepth.depth.simulation import N_LAYERS, ONSET, Simulation, activations, coverage, onset, signals, simulate

SIMULATION = Simulation(
    pairs=120,
    depth={"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95},
    intervals=IntervalSettings(level=0.95, draws=200, permutations=99, seed=0, correction="bh"),
)


SHORT, LONG = 40, 400
"""Draws of statements: enough to see what is far off, and ten times as many for `make test-long`."""


@pytest.fixture(
    scope="module",
    params=[(name, SHORT) for name in ("sharp", "none")]
    + [pytest.param((name, LONG), marks=pytest.mark.long) for name in ("sharp", "none")],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def rows(request):
    name, repetitions = request.param
    signal = signals()[name]
    found = simulate(signal, SIMULATION, repetitions=repetitions, threads=2)
    table = coverage(found, SIMULATION, first_layer=onset(signal)).set_index("quantity")
    table.attrs |= {"signal": name, "repetitions": repetitions, "error": np.sqrt(0.05 * 0.95 / repetitions)}
    return table


def expect_what_is_known_to_be_wrong(rows, request):
    """Without a signal 400 draws show what 40 cannot, as the table in docs/depth.md does: strict, so that a cure is seen."""
    if (rows.attrs["signal"], rows.attrs["repetitions"]) == ("none", LONG):
        reason = "a layer is called in 9 % where 5 % are meant, and 95 % intervals hold the truth in 88 %"
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def test_the_onset_of_a_signal_is_found_and_none_where_there_is_none(rows, request):
    expect_what_is_known_to_be_wrong(rows, request)
    first = rows.loc["first_above_chance"]
    called_wrongly = first["too_early"] if rows.attrs["signal"] == "sharp" else first["defined"]
    assert called_wrongly <= 0.05 + 3 * rows.attrs["error"]
    if rows.attrs["signal"] == "sharp":
        assert first["defined"] == 1
        assert first["median"] == first["truth"] == ONSET / N_LAYERS


def test_intervals_of_accuracies_hold_the_truth_about_as_often_as_they_say(rows, request):
    expect_what_is_known_to_be_wrong(rows, request)
    assert rows.loc["mean_accuracy", "coverage"] >= 0.95 - 3 * rows.attrs["error"]
    assert rows.loc["mean_accuracy", "mean"] == pytest.approx(rows.loc["mean_accuracy", "truth"], abs=0.005)


def test_a_peak_is_too_high_and_a_held_out_one_is_not(rows):
    too_high = rows["mean"] - rows["truth"]
    assert too_high["peak_accuracy"] > 0.01
    assert too_high["held_out_peak_accuracy"] < too_high["peak_accuracy"] / 2


def test_noise_makes_the_converging_point_late_and_leaves_the_centre_of_gain_at_the_onset(rows):
    """The gain's centre is near the onset; the converging point comes late, as noise breaks its band."""
    if rows.attrs["signal"] == "sharp":
        assert rows.loc["gain_centre", "mean"] == pytest.approx(ONSET / N_LAYERS, abs=0.08)
    late = rows["mean"] - rows["truth"]
    assert late["converging_point_published"] > 0.05


def test_vectors_have_the_signal_that_is_planted():
    signal = signals()["sharp"]
    vectors, labels, groups = activations(signal, pairs=4000, seed=0)
    distance = vectors[:, labels == 1].mean(axis=1) - vectors[:, labels == 0].mean(axis=1)
    np.testing.assert_allclose(distance[:, 0], signal, atol=0.1)
    np.testing.assert_allclose(distance[:, 1:], 0, atol=0.1)
    # Partners share half of their noise.
    noise = vectors[0, :, 1].reshape(-1, 2)
    assert np.corrcoef(noise.T)[0, 1] == pytest.approx(0.5, abs=0.05)
    assert (groups.reshape(-1, 2)[:, 0] == groups.reshape(-1, 2)[:, 1]).all()
