"""Draws and permutations respect groups; errors and p values are those of closed forms, SciPy and simulation."""

from dataclasses import replace

import numpy as np
import pytest
from conceptdepth.depth.resampling import (
    IntervalSettings,
    accuracy,
    group_weights,
    halves,
    p_above_chance,
    permuted_labels,
    resamples,
)
from conceptdepth.probes.predictions import Curve, Split
from scipy import stats

N = 200
NAMES = {"dataset": "d"}
ALONE = np.arange(N).astype(str).astype(object)
PAIRS = np.repeat(np.arange(N // 2), 2).astype(str).astype(object)


def curve(correct, labels, groups, tests=(None,)):
    """Return a curve whose probes are right where ``correct``, shape (n_layers, n), is true."""
    predicted = np.where(correct, labels, 1 - labels).astype(np.int8)
    whole = np.arange(len(labels))
    tests = [whole if test is None else test for test in tests]
    return Curve(NAMES, labels, groups, tuple(Split(test, predicted[:, test]) for test in tests))


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def test_weights_count_how_often_a_group_is_drawn():
    weights = group_weights(PAIRS, draws=4000, seed=0)
    assert weights.shape == (4000, N // 2)
    assert set(weights.sum(axis=1)) == {N // 2}
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.1)
    np.testing.assert_allclose(weights.var(axis=0).mean(), 1 - 2 / N, rtol=0.05)


def test_draws_depend_on_groups_and_seed_alone():
    weights = group_weights(PAIRS, draws=5, seed=0)
    np.testing.assert_array_equal(group_weights(PAIRS[::-1], draws=5, seed=0), weights)
    for other in (
        group_weights(PAIRS, draws=5, seed=1),
        group_weights(np.char.add("x", PAIRS.astype(str)), draws=5, seed=0),
    ):
        assert (other != weights).any()
    assert halves(PAIRS, seed=0).sum() == N // 4


def test_weighted_accuracy_is_that_of_a_naive_loop(draw):
    labels = draw.integers(0, 2, N).astype(np.int8)
    tests = [draw.permutation(N)[:50] for _ in range(3)]
    given = curve(draw.random((4, N)) < 0.7, labels, PAIRS, tests)
    weights = group_weights(PAIRS, draws=6, seed=0)
    names = np.unique(PAIRS.astype(str)).tolist()
    for number, found in enumerate(accuracy(given, weights)):
        of_splits = []
        for split in given.splits:
            copies = [
                (split.predicted[:, i] == labels[s])
                for i, s in enumerate(split.test)
                for _ in range(int(weights[number, names.index(str(PAIRS[s]))]))
            ]
            of_splits.append(np.mean(copies, axis=0))
        np.testing.assert_allclose(found, np.mean(of_splits, axis=0))
    every = np.ones((1, N // 2))
    np.testing.assert_allclose(accuracy(given, every)[0], accuracy(given))


def test_a_draw_without_any_test_statement_is_not_a_number(draw):
    labels = np.tile([0, 1], N // 2).astype(np.int8)
    given = curve(draw.random((2, N)) < 0.7, labels, PAIRS, [np.array([0, 1])])
    weights = np.ones((2, N // 2))
    weights[0, np.unique(PAIRS.astype(str)).tolist().index("0")] = 0
    found = accuracy(given, weights)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_the_standard_error_is_the_binomial_one_and_twice_the_same_statement_is_one(draw):
    labels = np.tile([0, 1], N // 2).astype(np.int8)
    correct = np.repeat(draw.random((3, N // 2)) < 0.8, 2, axis=1)
    for groups, n in ((ALONE, N), (PAIRS, N // 2)):
        spread = accuracy(curve(correct, labels, groups), group_weights(groups, draws=8000, seed=0)).std(axis=0)
        p = correct.mean(axis=1)
        np.testing.assert_allclose(spread, np.sqrt(p * (1 - p) / n), rtol=0.05)


def test_permutations_keep_how_labels_depend_on_each_other_in_groups():
    opposite = np.tile([0, 1], N // 2).astype(np.int8)
    equal = np.repeat([0, 1], N // 2).astype(np.int8)
    for labels, sums in ((opposite, {1}), (equal, {0, 2})):
        permuted = permuted_labels(labels, PAIRS, permutations=50, seed=0)
        assert set(permuted.reshape(50, -1, 2).sum(axis=2).ravel().tolist()) == sums
        assert set(permuted.sum(axis=1)) == {labels.sum()}
        assert (permuted != labels).any(axis=1).all()
    np.testing.assert_allclose(permuted_labels(opposite, PAIRS, permutations=2000, seed=0).mean(axis=0), 0.5, atol=0.06)
    np.testing.assert_allclose(permuted_labels(equal, PAIRS, permutations=2000, seed=0).mean(axis=0), 0.5, atol=0.06)


def test_groups_exchange_labels_with_groups_of_their_size():
    groups = np.array(["a", "b", "b", "c", "d", "d", "e"], dtype=object)
    labels = np.array([1, 0, 0, 0, 1, 1, 0], dtype=np.int8)
    permuted = permuted_labels(labels, groups, permutations=300, seed=0)
    assert {tuple(row[[0, 3, 6]]) for row in permuted.tolist() for row in [np.array(row)]} == {
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
    }
    assert {tuple(row[[1, 2, 4, 5]]) for row in permuted.tolist() for row in [np.array(row)]} == {
        (0, 0, 1, 1),
        (1, 1, 0, 0),
    }


def test_the_p_value_of_one_layer_is_scipys(draw):
    labels = np.tile([0, 1], N // 2).astype(np.int8)
    for share in (0.52, 0.56, 0.6):
        correct = draw.permutation(N)[np.newaxis] < share * N
        given = curve(correct, labels, ALONE)
        (found,) = p_above_chance(given, [permuted_labels(labels, ALONE, permutations=4999, seed=0)])
        predicted = given.splits[0].predicted[0]
        reference = stats.permutation_test(
            (labels,), lambda x, predicted=predicted: np.mean(x == predicted), permutation_type="pairings", n_resamples=4999, alternative="greater", rng=0
        )  # fmt: skip
        assert found == pytest.approx(reference.pvalue, abs=0.02)


@pytest.mark.parametrize("groups", [ALONE, PAIRS], ids=["alone", "pairs"])
def test_where_no_layer_knows_a_thing_five_of_a_hundred_runs_say_that_one_does(draw, groups):
    """Layers alike and unlike; statements of a pair get the same answer, as texts that are nearly the same do."""
    labels = np.tile([0, 1], N // 2).astype(np.int8)
    permuted = permuted_labels(labels, groups, permutations=199, seed=0)
    smallest = []
    for _ in range(300):
        scores = np.cumsum(draw.normal(size=(8, N)), axis=0)
        if groups is PAIRS:
            scores[:, 1::2] = scores[:, ::2] + 0.1 * draw.normal(size=(8, N // 2))
        correct = (scores > 0) == labels
        smallest.append(p_above_chance(curve(correct, labels, groups), [permuted]).min())
    assert np.mean(np.array(smallest) <= 0.05) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 300))


def test_a_layer_that_knows_is_found_and_one_that_always_says_the_same_is_not(draw):
    labels = (draw.random(N) < 0.9).astype(np.int8)
    correct = np.stack([labels == 1, draw.random(N) < 0.97])
    found = p_above_chance(curve(correct, labels, ALONE), [permuted_labels(labels, ALONE, permutations=999, seed=0)])
    assert found[0] > 0.4
    assert found[1] == 1 / 1000


def test_of_several_splits_twice_the_median_counts_and_labels_move_within_each_test_part(draw):
    labels = np.tile([0, 1], N // 2).astype(np.int8)
    tests = [np.sort(draw.permutation(N)[:80]) for _ in range(3)]
    given = curve(draw.random((4, N)) < 0.57, labels, ALONE, tests)
    settings = IntervalSettings(level=0.95, draws=0, permutations=199, seed=0, correction="bh")
    permuted = resamples(given, settings).permuted
    for test, of_split in zip(tests, permuted):
        assert of_split.shape == (199, 80)
        assert set(of_split.sum(axis=1)) == {labels[test].sum()}
    alone = [p_above_chance(replace(given, splits=(split,)), [of]) for split, of in zip(given.splits, permuted)]
    np.testing.assert_allclose(p_above_chance(given, permuted), np.minimum(1, 2 * np.sort(alone, axis=0)[1]))
