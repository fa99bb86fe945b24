"""The online code equals a naive loop and its closed forms, and is short where there is something to know."""

import numpy as np
import pytest
from conceptdepth.probes.description import PORTIONS, online_code, shortest_code, surprise
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

N = 400


@pytest.fixture(scope="module")
def labels():
    return (np.random.default_rng(0).random(N) < 0.5).astype(np.int8)


@pytest.fixture(scope="module")
def groups():
    return np.repeat(np.arange(N // 4), 4).astype(str).astype(object)


def regression(features, labels, following):
    return LogisticRegression().fit(features, labels).decision_function(following)


def ignorant(features, labels, following):
    return np.zeros(len(following))


def noisy(labels, noise):
    return labels[:, np.newaxis] + noise * np.random.default_rng(1).normal(size=(len(labels), 3))


def test_surprise_is_scikit_learns_log_loss_in_bits(labels):
    log_odds = np.random.default_rng(2).normal(size=N)
    expected = log_loss(labels, 1 / (1 + np.exp(-log_odds)), normalize=False) / np.log(2)
    assert surprise(labels, log_odds) == pytest.approx(expected)


def test_who_knows_nothing_needs_a_bit_for_each_label(labels, groups):
    assert online_code(noisy(labels, 1), labels, groups, ignorant, seed=0) == pytest.approx(N)


def test_who_is_always_right_pays_for_the_first_portion_alone(labels):
    """And for what follows while it has one class only: nothing can be trained on it."""
    first: list[int] = []

    def sure(seen, known, following):
        first.append(len(seen))
        return 1000.0 * (2 * following[:, 0] - 1)

    for seed in range(10):
        first.clear()
        assert online_code(labels[:, np.newaxis], labels, np.arange(N).astype(object), sure, seed=seed) == first[0]
        assert first == [n for n in sorted({int(np.ceil(share * N)) for share in PORTIONS}) if first[0] <= n < N]


def test_the_code_is_that_of_a_naive_loop_in_the_same_order(labels):
    """Statements that are groups of their own, one after the other in portions of the paper."""
    features, alone, parts = noisy(labels, 1), np.arange(N).astype(object), []

    def watched(seen, known, following):
        parts.append((seen, following))
        return regression(seen, known, following)

    bits = online_code(features, labels, alone, watched, seed=3)
    order = [int(np.flatnonzero((features == row).all(axis=1))[0]) for row in np.concatenate([parts[0][0], *(p[1] for p in parts)])]  # fmt: skip
    assert sorted(order) == list(range(N))
    starts = sorted({int(np.ceil(share * N)) for share in PORTIONS})
    expected = 0.0
    for start, stop in zip([0, *starts], starts):
        seen, following = order[:start], order[start:stop]
        if len(set(labels[seen])) < 2:
            expected += stop - start
            continue
        model = LogisticRegression().fit(features[seen], labels[seen])
        p = model.predict_proba(features[following])
        expected -= np.log2(p[np.arange(len(following)), labels[following]]).sum()
    assert bits == pytest.approx(expected)


def test_portions_keep_groups_together(labels, groups):
    numbers = groups.astype(float)[:, np.newaxis]

    def watched(seen, known, following):
        assert not set(seen[:, 0]) & set(following[:, 0])
        return np.zeros(len(following))

    assert online_code(numbers, labels, groups, watched, seed=1) == pytest.approx(N)


def test_more_noise_makes_a_longer_code_and_noise_alone_no_shorter_one_than_uniform(labels, groups):
    lengths = [online_code(noisy(labels, s), labels, groups, regression, seed=0) for s in (0.1, 1, 3)]
    assert lengths[0] < 0.2 * N
    assert lengths == sorted(lengths)
    noise = np.random.default_rng(4).normal(size=(N, 3))
    assert online_code(noise, labels, groups, regression, seed=0) > N


def test_the_shortest_of_several_codes_pays_for_its_name(labels, groups):
    features = noisy(labels, 0.5)
    best = online_code(features, labels, groups, regression, seed=0)
    four = [ignorant, regression, ignorant, ignorant]
    assert shortest_code(features, labels, groups, four, seed=0) == pytest.approx(best + 2)
    assert shortest_code(features, labels, groups, [regression], seed=0) == pytest.approx(best)
