"""Which statements are held out: splits of a dataset into training and test part, and folds of a training part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, train_test_split

from conceptdepth.datasets.groups import group_numbers
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.text import counted

Indices = NDArray[np.int64]

Split = tuple[int, Indices, Indices]
"""Seed, training and test statements."""

SPLITS = ("reference", "grouped", "stratified")
"""Ways to hold statements out."""

FOLDS = 5
"""Folds of a training part among which C is chosen, or as many as its groups allow."""

MOST_PARTS = 20
"""A stratified split cuts groups into at most so many parts, some of which are the test part."""


@dataclass(frozen=True)
class SplitSettings:
    """How statements are held out; a part of the config section ``probes``."""

    split: str
    """One of `SPLITS`, see `split_statements`."""
    test_share: float
    """Share of statements (reference, stratified) or of groups (grouped) that is held out."""
    seeds: Sequence[int]
    """One split, and one probe per layer, for each seed."""


def split_statements(
    labels: NDArray[np.int8], groups: NDArray[np.object_], *, split: str, test_share: float, seed: int
) -> tuple[Indices, Indices]:
    """Return the indices of training and test statements.

    ``reference`` is the split of the released code: class-0 statements first, then
    ``train_test_split(test_size=test_share, random_state=seed)``, not stratified; it separates pairs.
    ``grouped`` holds out whole groups, so that no statement is tested whose partner was trained on.
    ``stratified`` does too, and each part has the classes in the proportions of the whole as far as groups allow
    (scikit-learn's ``StratifiedGroupKFold``, of whose folds 2 of 5 make a share of 0.4).
    """
    if split == "reference":
        by_class = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)])
        train, test = train_test_split(by_class, test_size=test_share, random_state=seed)
        return train, test
    if split == "stratified":
        return _stratified(labels, groups, test_share, seed)
    splitter = GroupShuffleSplit(n_splits=1, test_size=test_share, random_state=seed)
    return next(splitter.split(labels, groups=groups))


def _stratified(
    labels: NDArray[np.int8], groups: NDArray[np.object_], test_share: float, seed: int
) -> tuple[Indices, Indices]:
    share = Fraction(test_share).limit_denominator(MOST_PARTS)
    if not 0 < share < 1:
        raise UserError(
            f"probes.test_share: a stratified split can hold out {1 / MOST_PARTS} to {1 - 1 / MOST_PARTS}, "
            f"not {test_share}."
        )
    if len(set(groups.tolist())) < share.denominator:
        raise UserError(
            f"probes.split: a stratified split that holds out {share} needs at least {share.denominator} groups; raise "
            "the dataset's `max_per_class` or change `probes.test_share`."
        )
    parts = _folds(labels, groups, share.denominator, seed)
    test = np.sort(np.concatenate(parts[: share.numerator]))
    return np.setdiff1d(np.arange(len(labels)), test), test


def _folds(labels: NDArray[np.int8], groups: NDArray[np.object_], n: int, seed: int) -> list[Indices]:
    """Return n parts of the statements, whole groups each, with classes in about equal proportions."""
    splitter = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
    return [part for _, part in splitter.split(labels, labels, group_numbers(groups))]


def splits_of(labels: NDArray[np.int8], groups: NDArray[np.object_], settings: SplitSettings) -> Iterator[Split]:
    """Yield (seed, train, test) for every seed. Raises `UserError` if a part is empty or lacks a class."""
    split, share = settings.split, settings.test_share
    for seed in settings.seeds:
        try:
            train, test = split_statements(labels, groups, split=split, test_share=share, seed=seed)
        except ValueError:
            raise UserError(
                f"probes: a {split} split cannot hold out {share} of {_sizes(labels, groups)}; {MORE_GROUPS}, or "
                "change `probes.split` or `probes.test_share`."
            ) from None
        for part, rows in (("training", train), ("test", test)):
            if len(set(labels[rows].tolist())) < 2:
                raise UserError(
                    f"probes: the {part} part of split {seed} holds one class only, of {_sizes(labels, groups)}; "
                    f"{MORE_GROUPS}, or change `probes.split`, `probes.test_share` or `probes.seeds`."
                )
        yield seed, train, test


MORE_GROUPS = "add rows, raise the dataset's `max_per_class` or name finer groups (`columns.group`)"
"""What helps a class into more parts and folds."""


def _sizes(labels: NDArray[np.int8], groups: NDArray[np.object_]) -> str:
    """Say how many statements and groups each class has."""
    own = [groups[labels == label].tolist() for label in (0, 1)]
    return " and ".join(
        f"{counted(len(of), 'statement')} of class {label} in {counted(len(set(of)), 'group')}"
        for label, of in enumerate(own)
    )


def folds_of(labels: NDArray[np.int8], groups: NDArray[np.object_], *, seed: int) -> list[tuple[Indices, Indices]]:
    """Return (fitted on, validated on) for each fold of a training part, as positions in it.

    Folds keep groups whole and have both classes in about equal proportions. Raises `UserError` if not even two are
    possible.
    """
    everything = np.arange(len(labels))
    most = min(FOLDS, len(set(groups.tolist())), *np.bincount(labels, minlength=2).tolist())
    for n in range(most, 1, -1):
        parts = _folds(labels, groups, n, seed)
        if all(len(set(labels[part].tolist())) == 2 for part in parts):
            return [(np.setdiff1d(everything, part), part) for part in parts]
    raise UserError(
        f"probes.C: the training part of split {seed} has too few groups with both classes to choose a value by "
        f"validation, {_sizes(labels, groups)}; {MORE_GROUPS}; one value, `controls.baselines: []` and "
        '`data_audit.policy: "off"` need no validation.'
    )


def check_splits(
    labels: NDArray[np.int8], groups: NDArray[np.object_], settings: SplitSettings, *, folds: bool
) -> None:
    """Raise `UserError` if a part of a split, or with ``folds`` a fold of a training part, would lack a class."""
    for seed, train, _ in splits_of(labels, groups, settings):
        if folds:
            folds_of(labels[train], groups[train], seed=seed)
