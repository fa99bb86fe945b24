"""How many bits the labels take for one who knows the vectors (Voita and Titov 2020, arXiv 2003.12298)."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from conceptdepth.datasets.groups import group_numbers

PORTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1)
"""Shares of the training part after which the probe is trained again, as in the paper."""

Features = NDArray[np.floating]

Decision = Callable[[Features, NDArray[np.int8], Features], NDArray[np.float64]]
"""Trains a probe on vectors and labels; returns the log-odds of class 1 of other vectors."""


def online_code(
    features: Features, labels: NDArray[np.int8], groups: NDArray[np.object_], decide: Decision, *, seed: int
) -> float:
    """Return the length in bits of the online (prequential) code of labels, shape (n,), given features (n, d).

    Labels are sent in portions, in an order that is random but keeps groups together, so that no portion is
    told by the partners of its statements. Each is coded with the probabilities of a probe trained on all before it;
    the first, and any before both classes have been seen, by the uniform code, a bit for each label.
    """
    order, ends = _in_groups(groups, seed)
    wanted = np.ceil(np.multiply(PORTIONS, len(labels)))
    cuts = np.unique(ends[np.searchsorted(ends, wanted)])
    bits = float(cuts[0])
    for start, stop in zip(cuts[:-1], cuts[1:]):
        seen, following = order[:start], order[start:stop]
        if len(set(labels[seen].tolist())) < 2:
            bits += float(stop - start)
        else:
            log_odds = decide(features[seen], labels[seen], features[following])
            bits += surprise(labels[following], log_odds)
    return bits


def surprise(labels: NDArray[np.int8], log_odds: NDArray[np.float64]) -> float:
    """Return the sum of -log2 of the probability of each label."""
    return float(np.logaddexp(0, np.where(labels == 1, -1, 1) * log_odds).sum() / np.log(2))


def shortest_code(
    features: Features,
    labels: NDArray[np.int8],
    groups: NDArray[np.object_],
    decisions: Sequence[Decision],
    *,
    seed: int,
) -> float:
    """Return the shortest of the online codes of several probes, and the bits that say which it is.

    This takes the place of a choice of C by validation, which would look at labels that have not been sent yet.
    """
    lengths = [online_code(features, labels, groups, decide, seed=seed) for decide in decisions]
    return min(lengths) + float(np.log2(len(decisions)))


def _in_groups(groups: NDArray[np.object_], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return statements in random order of their groups, and the position after each group."""
    numbers = group_numbers(groups)
    places = np.random.default_rng(seed).permutation(numbers.max() + 1)[numbers]
    order = np.argsort(places, kind="stable")
    return order, np.cumsum(np.bincount(places))
