"""Directions that are erased from vectors or added to them, and random ones like them.

What a change does to a model depends on how far it moves vectors, on how it goes with their classes, and on how much of
the variance lies along it, whatever the direction means. So each is compared with changes that are alike in all three,
along random directions (`with_controls`). docs/causal.md.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

Values = NDArray[np.float64]

ERASE, LEACE, AGAINST, ALONG = "erase", "leace", "against", "along"
"""How vectors are changed: two ways to take a direction away, and steps along it, against the class of a statement and
towards it."""

BY_STRENGTH = (LEACE, ERASE, AGAINST)
"""Ways to change vectors, the most thorough first."""

ADD = "add"
"""What a configuration calls both steps."""

METHODS = (ERASE, LEACE, ADD)
"""What ``causal.methods`` may name."""

SHUFFLED, RANDOM = "shuffled", "random_"
"""Directions that are controls: of a probe of shuffled labels, and random ones, whose numbers follow."""

FEWEST_GROUPS = 4
"""Of which statements are asked, if there are as many: of fewer nothing is known of how sure an effect is."""

STEEPEST = 60.0
"""Powers of the variance that directions are tilted by are between this and its negative."""


@dataclass(frozen=True)
class Space:
    """The vectors of a training part: their mean and their covariance."""

    vectors: Values
    """Shape (n_statements, d_model)."""

    @cached_property
    def mean(self) -> Values:
        """Shape (d_model,)."""
        return self.vectors.mean(axis=0)

    @cached_property
    def _axes(self) -> tuple[Values, Values]:
        """Variances along the principal axes, (n_axes,), of those that vary, and the axes, (n_axes, d_model)."""
        _, lengths, axes = np.linalg.svd(self.vectors - self.mean, full_matrices=False)
        variances = lengths**2 / len(self.vectors)
        vary = variances > variances[0] * 1e-10
        return variances[vary], axes[vary]

    def deviation(self, direction: Values) -> float:
        """Return the standard deviation of the vectors along a direction of length 1."""
        return float(np.std(self.vectors @ direction))

    def share(self, direction: Values) -> float:
        """Return the share of all variance that lies along a direction of length 1."""
        return self.deviation(direction) ** 2 / float(self.vectors.var(axis=0).sum())

    def directions_like(self, direction: Values, drawn: Values) -> Values:
        """Return random directions of length 1 along which the vectors vary as along one of length 1, (n, d_model).

        Each of those that were ``drawn``, (n, d_model), is tilted in the space of the vectors towards axes of high or
        of low variance, by a power of the variance, until its own is that. The same draws give directions that are
        alike in all splits, as those of the concept are.
        """
        variances, axes = self._axes
        wanted = float(np.clip(self.deviation(direction) ** 2, variances[-1], variances[0]))
        return np.array([_tilted(variances, axes @ each, wanted) @ axes for each in drawn])


def _tilted(variances: Values, drawn: Values, wanted: float) -> Values:
    """Return a drawn direction, tilted until the mean of variances, weighted by its squares, is the wanted one."""
    logarithms = np.log(variances / variances.max())

    def at(power: float) -> Values:
        # The largest first, so that no power overflows.
        exponents = power * logarithms
        tilted = drawn * np.exp(exponents - exponents.max())
        return tilted / np.linalg.norm(tilted)

    def too_much(power: float) -> float:
        return float(np.log(at(power) ** 2 @ variances) - np.log(wanted))

    if too_much(STEEPEST) <= 0:
        return at(STEEPEST)
    if too_much(-STEEPEST) >= 0:
        return at(-STEEPEST)
    return at(brentq(too_much, -STEEPEST, STEEPEST, xtol=1e-10))


@dataclass(frozen=True)
class Change:
    """x - (x . read - at) write, for vectors x of shape (d_model,)."""

    method: str
    """How, one of the names above."""
    direction: str
    """Along what: `conceptdepth.ground.names.CONCEPT`, `SHUFFLED` or a random one."""
    read: Values
    write: Values
    at: tuple[float, float]
    """For a statement of class 0 and of class 1."""

    def of(self, vectors: Values, labels: NDArray[np.int8]) -> Values:
        """Return vectors of statements, (n_statements, d_model), changed."""
        return vectors - (vectors @ self.read - np.array(self.at)[labels])[:, np.newaxis] * self.write


def erasing(space: Space, name: str, direction: Values) -> Change:
    """Return the projection off a direction of length 1 that leaves the mean where it is."""
    middle = float(space.mean @ direction)
    return Change(ERASE, name, direction, direction, (middle, middle))


def projecting(space: Space, name: str, read: Values, write: Values) -> Change:
    """Return the change that reads along one direction and writes along another, as LEACE does, and keeps the mean."""
    middle = float(space.mean @ read)
    return Change(LEACE, name, read, write, (middle, middle))


def stepping(space: Space, name: str, direction: Values, deviations: float, method: str) -> Change:
    """Return steps along a direction of length 1: some standard deviations against the class of each, or along it."""
    far = (-1 if method == AGAINST else 1) * deviations * space.deviation(direction)
    return Change(method, name, np.zeros_like(direction), direction, (-far, far))


def with_controls(space: Space, change: Change, drawn: Values) -> Iterator[Change]:
    """Yield a change, and the same along random directions: each vector is moved as far, and with its class as often.

    A control reads what the change reads and writes as long a vector, along a direction of the same share of the
    variance. If what the model does with the concept's direction is what it does with any like it, all are alike.
    """
    yield change
    length = float(np.linalg.norm(change.write))
    unit = change.write / length if length else change.write
    for number, direction in enumerate(space.directions_like(unit, drawn), start=1):
        yield replace(change, direction=f"{RANDOM}{number}", write=length * direction)


def chosen_layers(n_layers: int, every: int, onset: int | None) -> list[int]:
    """Return every so many layers, the last, and the three around an onset."""
    around = [] if onset is None else [onset - 1, onset, onset + 1]
    return sorted({*range(0, n_layers, every), n_layers - 1, *(layer for layer in around if 0 <= layer < n_layers)})


def asked_statements(
    labels: NDArray[np.int8], groups: NDArray[np.int64], tested: list[NDArray[np.int64]], n: int, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return about n statements, ascending, and for each the number of the split that holds it out.

    ``tested`` are the statements that each split holds out, of which those count whose group is held out whole. Groups
    are drawn, each the first of those left that brings more of the class of which there are fewer, until there are n
    statements of several groups and of both classes, or no groups are left. Of large groups some statements are drawn.
    """
    draw = np.random.default_rng(seed)
    of_split = np.full(len(labels), -1)
    for number in draw.permutation(len(tested)):
        trained = np.delete(groups, tested[number])
        new = (of_split < 0) & np.isin(np.arange(len(labels)), tested[number]) & ~np.isin(groups, trained)
        of_split[new] = number
    left = [np.flatnonzero((groups == group) & (of_split >= 0)) for group in draw.permutation(np.unique(groups))]
    left = [
        draw.choice(group, min(len(group), max(2, n // FEWEST_GROUPS)), replace=False) for group in left if len(group)
    ]
    chosen, used = list[int](), 0
    while left and (len(chosen) < n or used < FEWEST_GROUPS or len(set(labels[chosen].tolist())) < 2):
        used += 1
        balance = sum(2 * labels[chosen].astype(int) - 1)
        gains = [-np.sign(balance) * sum(2 * labels[group].astype(int) - 1) for group in left]
        best = next((place for place, gain in enumerate(gains) if gain > 0), 0) if balance else 0
        chosen += left.pop(best).tolist()
    asked = np.sort(np.array(chosen, dtype=np.int32))
    return asked, of_split[asked].astype(np.int32)


def most_thorough(methods: Iterable[str]) -> str:
    """Return the method that claims and sentences are about: the first of `BY_STRENGTH` among those of a run."""
    return next(name for name in BY_STRENGTH if name in set(methods))


def completeness(facts: pd.DataFrame, *, known: bool) -> pd.Series:
    """Return how much of what areas are above a half is lost if a layer is ``known``; of steps ``told_otherwise``."""
    columns = facts.reindex(columns=["auc_before", "auc_after", "told_otherwise"])
    lost = (columns["auc_before"] - columns["auc_after"]) / (columns["auc_before"] - 0.5)
    return (lost if known else lost * np.nan).fillna(columns["told_otherwise"])
