"""What probes are trained for: the concept, and controls that show how much of a score is due to the probe itself.

``shuffled_labels`` are the labels in another order: nothing can be learnt, and a score beyond that of always naming the
larger class is an error of the procedure. ``control_task`` (Hewitt and Liang 2019, arXiv 1909.03368) gives each group
one random label, so that it can only be memorised, group by group; accuracy on the concept minus accuracy on it is the
*selectivity* of a probe. `PARTIAL_OUT` is the concept again, from features without nuisances that could tell it in its
place (`conceptdepth.probes.nuisances`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from conceptdepth.ground.names import CONCEPT, PARTIAL_OUT
from conceptdepth.probes.nuisances import Nuisances
from conceptdepth.probes.splits import Indices, Split, folds_of

SHUFFLED_LABELS = "shuffled_labels"
CONTROL_TASK = "control_task"

CONTROLS = (SHUFFLED_LABELS, CONTROL_TASK)
"""Targets beside the concept, ``controls.targets``."""


@dataclass(frozen=True)
class Task:
    """One target on one split: what a probe of each layer is trained and tested for."""

    target: str
    """`CONCEPT`, `PARTIAL_OUT` or one of `CONTROLS`."""
    seed: int
    """Seed of the split."""
    train: Indices
    """Statements that are trained on."""
    test: Indices
    """Statements that are tested."""
    labels: NDArray[np.int8]
    """The target's label of each statement, shape (n_statements,)."""
    groups: NDArray[np.object_]
    """Statements of one value stay together when a training part is cut, shape (n_statements,)."""
    folds: Sequence[tuple[Indices, Indices]] = field(default=())
    """Folds of the training part for the choice of C, see `conceptdepth.probes.splits.folds_of`; none if
    nothing is to choose."""
    nuisances: Nuisances | None = None
    """What is taken out of the features of every statement; None, they stay as they are."""


def tasks_of(
    labels: NDArray[np.int8],
    groups: NDArray[np.object_],
    splits: Iterable[Split],
    *,
    controls: Sequence[str],
    choose: bool,
    nuisances: Nuisances | None = None,
) -> Iterator[Task]:
    """Yield, for each split, the concept, itself without ``nuisances`` if there are any, and then its controls.

    Only the concept has folds, if there is a choice.

    A dataset without groups of two or more statements has no control task, see `control_task`.
    """
    for seed, train, test in splits:
        folds = folds_of(labels[train], groups[train], seed=seed) if choose else []
        yield Task(CONCEPT, seed, train, test, labels, groups, folds)
        if nuisances:
            yield Task(PARTIAL_OUT, seed, train, test, labels, groups, nuisances=nuisances)
        if SHUFFLED_LABELS in controls:
            yield Task(SHUFFLED_LABELS, seed, train, test, shuffled(labels, (train, test), seed), groups)
        if CONTROL_TASK in controls and has_control_task(groups):
            yield control_task(labels, groups, seed=seed)


def shuffled(labels: NDArray[np.int8], parts: Iterable[Indices], seed: int) -> NDArray[np.int8]:
    """Return the labels permuted within each part, so that each keeps its share of the classes."""
    draw = np.random.default_rng(seed)
    permuted = labels.copy()
    for part in parts:
        permuted[part] = draw.permutation(labels[part])
    return permuted


def has_control_task(groups: NDArray[np.object_]) -> bool:
    """Tell whether at least two groups have two or more statements."""
    return bool((np.unique(groups.astype(str), return_counts=True)[1] > 1).sum() > 1)


def control_task(labels: NDArray[np.int8], groups: NDArray[np.object_], *, seed: int) -> Task:
    """Return the task to tell a random label of each group, after Hewitt and Liang (2019).

    Their control task labels each *type* of word at random, and types of the test part have been seen in training: what
    it scores is how well a probe memorises types. Here groups are the types. On a split that holds out whole groups
    there would be nothing to measure, since labels of unseen groups cannot be known: the score would be chance for
    every probe. So this task has a split of its own *within* groups: of each with two or more statements one is trained
    on and one tested, whatever the size of the group, as many statements make a label easier to remember. Groups of one
    statement are left out.

    Classes are in the proportions of the concept, among statements of either class of it: a control label that went
    with the concept in training would be told, rightly or wrongly, by the concept of the test statement.

    A probe that scores high reads from the vectors which group a statement belongs to and has room to remember a label
    for each. Selectivity compares that with the concept, which is trained on all statements of its groups and tested on
    groups that the probe never saw, to which memory is of no use. It mixes these, and depends on how many groups there
    are and how large: it compares probes, layers and models on one dataset, not datasets.
    """
    draw = np.random.default_rng(seed)
    names, numbers, sizes = np.unique(groups.astype(str), return_inverse=True, return_counts=True)
    used = draw.permutation(np.flatnonzero(sizes > 1))
    train, test = np.array([draw.permutation(np.flatnonzero(numbers == group))[:2] for group in used]).T
    of_group = np.zeros(len(names), dtype=np.int8)
    order = np.lexsort([labels[test], labels[train]])  # Within each combination groups are in random order.
    share = np.clip(labels.mean(), 1 / len(used), 1 - 1 / len(used))  # Either class has a group.
    of_group[used[order]] = evenly(share, len(used), draw.random())
    return Task(CONTROL_TASK, seed, np.sort(train), np.sort(test), of_group[numbers], groups)


def evenly(share: float, n: int, start: float) -> NDArray[np.int8]:
    """Return n labels of which a share is 1, to one label in any of them that follow each other."""
    # A share of whole labels is to stay one in floating point.
    return np.diff(np.floor(share * np.arange(n + 1) + start + 1e-9)).astype(np.int8)
