"""How far a curve is above its baselines: of known accuracies, and never by luck more often than it says."""

import numpy as np
import pytest
from conceptdepth.depth.above import above_baselines, majority
from conceptdepth.depth.resampling import IntervalSettings, Resamples, resamples
from conceptdepth.depth.uncertainty import Design, design_of
from conceptdepth.probes.predictions import Curve, Split

N = 300


def curve(accuracies, seed=0, labels=None):
    """Return a curve whose layers are right about a random share of statements, each in a group of its own."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, N).astype(np.int8) if labels is None else labels
    right = draw.random((len(accuracies), N)) < np.array(accuracies)[:, np.newaxis]
    predicted = np.where(right, labels, 1 - labels).astype(np.int8)
    return Curve({}, labels, np.arange(N).astype(str).astype(object), (Split(np.arange(N), predicted),))


def taken(probe, draws=400) -> Resamples:
    return resamples(probe, IntervalSettings(level=0.95, draws=draws, permutations=0, seed=0, correction="bh"))


def compare(probe, baselines, level=0.95, *, p_chance=np.nan, draws=400, design=None):
    """Of probes that are given, unless the design says otherwise: all statements are tested and none trained on."""
    chance = np.broadcast_to(p_chance, len(probe.splits[0].predicted))
    design = design or design_of(probe)
    return above_baselines(probe, baselines, taken(probe, draws), level, p_chance=chance, design=design)


def exact(accuracy, labels, n_layers=1):
    """A baseline that is right about the first statements."""
    predicted = np.where(np.arange(N) < accuracy * N, labels, 1 - labels).astype(np.int8)
    groups = np.arange(N).astype(str).astype(object)
    return Curve({}, labels, groups, (Split(np.arange(N), np.tile(predicted, (n_layers, 1))),))


def test_excess_is_over_the_best_baseline_at_each_layer():
    probe = curve([0.5, 0.7, 0.95])
    accuracy = (probe.splits[0].predicted == probe.labels).mean(axis=1)
    found = compare(probe, {"words": exact(0.6, probe.labels), "random": exact(0.55, probe.labels, n_layers=3)})
    assert found.name == "words"
    np.testing.assert_allclose(found.accuracy, [0.6, 0.6, 0.6])
    assert found.values["held_out_peak_above_baseline"] == pytest.approx(accuracy.max() - 0.6, abs=0.02)
    assert found.values["first_above_baseline"] in (1 / 3, 2 / 3)
    assert found.p_values[2] == 1 / 401
    assert found.p_values[0] > 0.5


def test_a_baseline_of_as_many_layers_is_compared_layer_by_layer():
    probe = curve([0.9, 0.9])
    right = np.tile(np.where(np.arange(N) < 0.99 * N, probe.labels, 1 - probe.labels), (2, 1)).astype(np.int8)
    right[1] = 1 - right[1]
    baseline = Curve({}, probe.labels, probe.groups, (Split(np.arange(N), right),))
    found = compare(probe, {"random": baseline})
    assert found.accuracy[0] == pytest.approx(0.99)
    assert found.values["first_above_baseline"] == 1 / 2


def test_without_baselines_the_larger_class_is_one():
    labels = (np.arange(N) < 0.8 * N).astype(np.int8)
    probe = curve([0.78, 0.82], labels=labels)
    found = compare(probe, {})
    assert found.name == "majority"
    np.testing.assert_allclose(found.accuracy, [0.8, 0.8])
    assert np.isnan(found.values["first_above_baseline"])
    assert (majority(probe).splits[0].predicted == 1).all()


def test_a_curve_that_is_one_of_its_baselines_is_not_above_it():
    probe = curve([0.9])
    found = compare(probe, {"itself": probe})
    assert found.values["held_out_peak_above_baseline"] == 0
    assert np.isnan(found.values["first_above_baseline"])
    assert np.isnan(found.p_values).all(), "no draw says anything of a difference that is always nothing"


def test_without_draws_nothing_is_said_of_chance():
    found = compare(curve([0.5, 0.9]), {}, draws=0)
    assert found.values["held_out_peak_above_baseline"] > 0.3
    assert np.isnan(found.values["first_above_baseline"])
    assert np.isnan(found.p_values).all()


def test_what_is_not_above_chance_is_not_above_a_baseline():
    probe = curve([0.95, 0.95, 0.95])
    found = compare(probe, {}, p_chance=np.array([0.2, 0.05, 0.01]))
    np.testing.assert_allclose(found.p_values, [0.2, 0.05, 0.01])
    assert found.values["first_above_baseline"] == pytest.approx(1 / 3)
    nowhere = compare(probe, {}, p_chance=np.array([0.2, 0.3, 0.4]))
    assert np.isnan(nowhere.values["first_above_baseline"])


def test_a_peak_is_held_against_its_baseline_where_it_was_not_chosen():
    """Of thirty layers as good as a baseline the best is above it by luck, and no longer on other statements."""
    found = []
    for seed in range(40):
        probe = curve([0.7] * 30, seed=seed)
        found.append(
            compare(probe, {"words": exact(0.7, probe.labels)}, draws=0).values["held_out_peak_above_baseline"]
        )
    assert np.mean(found) == pytest.approx(0, abs=0.02)


def test_few_groups_and_training_make_a_layer_harder_to_call():
    probe = curve([0.62])
    baseline = {"words": exact(0.5, probe.labels)}
    p_values = [
        compare(probe, baseline, design=design).p_values[0]
        for design in (Design(1.0, 1e6), Design(1.29, 1e6), Design(1.29, 5.0))
    ]
    assert p_values == sorted(p_values)
    assert p_values[0] < p_values[2]


@pytest.mark.parametrize("repetitions", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_layers_as_good_as_a_baseline_are_called_above_it_as_seldom_as_the_level_says(repetitions):
    called = 0
    for seed in range(repetitions):
        probe = curve([0.7] * 12, seed=seed)
        baseline = curve([0.7], seed=10_000 + seed, labels=probe.labels)
        called += np.isfinite(compare(probe, {"words": baseline}).values["first_above_baseline"])
    # Of probes that are given, which nothing trained; tests/audit_statistics.py has those that are.
    assert called / repetitions < 0.065 + 3 * np.sqrt(0.05 * 0.95 / repetitions)
