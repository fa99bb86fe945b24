"""What a curve is resampled with: a bootstrap over groups of statements, and permutations of their labels.

Statements of a group (claims about one city) are no independent draws, so that groups are what is drawn, with all their
statements (the cluster bootstrap; Davison and Hinkley 1997, *Bootstrap Methods and their Application*, section 3.8),
and what is permuted. Both depend on a seed and on the dataset's groups alone: all cells of a dataset get the same
draws, so that differences between layers, models, weight formats and perturbations are paired. Probes are not trained
again; `conceptdepth.depth.uncertainty` adds what that would.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conceptdepth.probes.predictions import Curve, Split

Values = NDArray[np.float64]

Groups = NDArray[np.object_]


@dataclass(frozen=True)
class IntervalSettings:
    """How sure estimates are; the config section ``intervals``."""

    level: float
    """Share of repetitions in which an interval should contain the truth."""
    draws: int
    """Draws of the bootstrap over groups; none, no intervals."""
    permutations: int
    """Permutations of labels; none, no tests of chance."""
    seed: int
    """Seed of both."""
    correction: str
    """How p values of many curves are adjusted: ``bh`` or ``by``, see `scipy.stats.false_discovery_control`."""


@dataclass(frozen=True)
class Resamples:
    """What all curves of a dataset are resampled with."""

    weights: Values
    """Of groups in each draw, shape (draws, n_groups)."""
    half: NDArray[np.bool_]
    """Groups of which the peak is chosen on one half and reported on the other, shape (n_groups,)."""
    permuted: Sequence[NDArray[np.int8]]
    """Labels of the test part of each split, shape (permutations, n_test)."""


def resamples(curve: Curve, settings: IntervalSettings) -> Resamples:
    """Return the draws and permutations of a curve's dataset."""
    chosen = {"permutations": settings.permutations, "seed": settings.seed}
    return Resamples(
        group_weights(curve.groups, draws=settings.draws, seed=settings.seed),
        halves(curve.groups, seed=settings.seed),
        [permuted_labels(curve.labels[split.test], curve.groups[split.test], **chosen) for split in curve.splits],
    )


def accuracy(curve: Curve, weights: Values | None = None) -> Values:
    """Return the accuracy of each layer, the mean over splits.

    ``weights`` of groups, shape (n_draws, n_groups) in the order of ``np.unique``, give shape (n_draws, n_layers), NaN
    where no statement has a weight in any split; without them all count once, shape (n_layers,).
    """
    of_splits = [_of_split(curve, split, weights) for split in curve.splits]
    known = ~np.isnan(of_splits)
    with np.errstate(invalid="ignore"):
        return np.where(known, of_splits, 0).sum(axis=0) / known.sum(axis=0)


def _of_split(curve: Curve, split: Split, weights: Values | None) -> Values:
    correct = (split.predicted == curve.labels[split.test]).astype(float)
    if weights is None:
        return correct.mean(axis=1)
    of_statements = weights[:, curve.group_numbers[split.test]]
    with np.errstate(invalid="ignore"):
        return of_statements @ correct.T / of_statements.sum(axis=1, keepdims=True)


def group_weights(groups: Groups, *, draws: int, seed: int, n_drawn: int | None = None) -> Values:
    """Return how often each group is drawn, shape (draws, n_groups), in the order of ``np.unique``.

    As many groups are drawn as there are, or ``n_drawn``, as if the dataset were of that size.
    """
    n = len(np.unique(groups.astype(str)))
    drawn = n if n_drawn is None else n_drawn
    return _generator(groups, seed).multinomial(drawn, np.full(n, 1 / n), size=draws).astype(float)


def halves(groups: Groups, *, seed: int) -> NDArray[np.bool_]:
    """Return which groups, in the order of ``np.unique``, are in a random half of them."""
    n = len(np.unique(groups.astype(str)))
    return _generator(groups, seed).permutation(n) < n // 2


def _generator(groups: Groups, seed: int) -> np.random.Generator:
    names = "\n".join(np.unique(groups.astype(str)))
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(names.encode()).digest()[:8])])


def permuted_labels(labels: NDArray[np.int8], groups: Groups, *, permutations: int, seed: int) -> NDArray[np.int8]:
    """Return permutations of labels that respect groups, shape (permutations, n_statements).

    The labels of whole groups go to other groups of as many statements, and are permuted within each (multi-level
    block permutation; Winkler et al. 2015, NeuroImage 123, 253-268). This keeps how labels depend on each other within
    groups and removes how they depend on the statements.
    """
    draw = _generator(groups, seed)
    permuted = np.tile(labels, (permutations, 1))
    for members in _blocks(groups):
        order = draw.permuted(np.tile(np.arange(len(members)), (permutations, 1)), axis=1)
        permuted[:, members] = draw.permuted(labels[members][order], axis=2)
    return permuted


def _blocks(groups: Groups) -> Iterator[NDArray[np.int64]]:
    """Yield, for each size of groups, the statements of such groups, shape (n_groups, size)."""
    numbers, sizes = np.unique(groups.astype(str), return_inverse=True, return_counts=True)[1:]
    order = np.split(np.argsort(numbers, kind="stable"), np.cumsum(sizes)[:-1])
    for size in np.unique(sizes):
        yield np.stack([order[group] for group in np.flatnonzero(sizes == size)])


def p_above_chance(curve: Curve, permuted: Sequence[NDArray[np.int8]]) -> Values:
    """Return, for each layer, a p value of "no layer is above chance", valid for all layers together, (n_layers,).

    ``permuted`` are labels of the test part of each split, see `Resamples`. Of one split the test is exact where the
    statements of a test part could have had each other's labels: its probes have seen none of them. What one split
    tests, another trains on, so that no permutation is exact for several; their p values are combined as twice the
    median (Meinshausen, Meier and Buehlmann 2009, JASA 104, 1671-1681), which holds however they depend on each other.
    """
    of_splits = [_p_of_split(curve.labels, split, labels) for split, labels in zip(curve.splits, permuted)]
    return of_splits[0] if len(of_splits) == 1 else np.minimum(1.0, 2 * np.median(of_splits, axis=0))


def _p_of_split(labels: NDArray[np.int8], split: Split, permuted: NDArray[np.int8]) -> Values:
    """Return p values of one split by permutation.

    Accuracies in units of their standard deviation under permutation are compared with the largest of any layer in each
    permutation (single-step max T of Westfall and Young 1993, *Resampling-Based Multiple Testing*): the chance that
    some layer looks this good although none carries any information.
    """
    null = _under(split, permuted)
    mean, spread = null.mean(axis=0), null.std(axis=0)
    spread = np.where(spread > 0, spread, np.inf)  # A probe that always says the same is never above chance.
    largest = ((null - mean) / spread).max(axis=1)
    found = ((split.predicted == labels[split.test]).mean(axis=1) - mean) / spread
    at_least = (largest[:, np.newaxis] >= found - 1e-9).sum(axis=0)
    return (1 + at_least) / (1 + len(permuted))


def _under(split: Split, permuted: NDArray[np.int8]) -> Values:
    """Return accuracies with permuted labels, shape (permutations, n_layers)."""
    predicted = 2.0 * split.predicted - 1
    # Signs of all permutations at once would take eight times their memory.
    parts = np.array_split(permuted, max(1, len(permuted) // 1000))
    return np.concatenate([((2.0 * part - 1) @ predicted.T / len(split.test) + 1) / 2 for part in parts])
