"""Directions that are erased from vectors or added to them, and random ones like them.

What a change does to a model depends on how much of the vectors it touches, whatever the direction means. So each
direction is compared with random ones that are like it: of the same share of the variance if it is erased or added,
and of as large a change if it is erased by LEACE (Belrose et al. 2023, arXiv 2306.03819). docs/causal.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Values = NDArray[np.float64]

ERASE, LEACE, AGAINST, ALONG = "erase", "leace", "against", "along"
"""How vectors are changed: two ways to take a direction away, and steps along it, against the class of a statement and
towards it."""

BY_STRENGTH = (LEACE, ERASE, AGAINST)
"""Which way claims and sentences are about: the first of these that was gone."""

ADD = "add"
"""What a configuration calls both steps."""

METHODS = (ERASE, LEACE, ADD)
"""What ``causal.methods`` may name."""

SHUFFLED, RANDOM = "shuffled", "random_"
"""Directions that are controls: of a probe of shuffled labels, and random ones, whose numbers follow."""

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

    def directions_like(self, direction: Values, n: int, draw: np.random.Generator) -> Values:
        """Return n random directions of length 1 along which the vectors vary as along one of length 1, (n, d_model).

        Each is a random one in the space of the vectors, tilted towards axes of high or of low variance by a power of
        the variance until its own is that.
        """
        variances, axes = self._axes
        wanted = float(np.clip(self.deviation(direction) ** 2, variances[-1], variances[0]))
        return np.array([_tilted(variances, draw.normal(size=len(variances)), wanted) @ axes for _ in range(n)])

    def projections_like(self, write: Values, n: int, draw: np.random.Generator) -> tuple[Values, Values]:
        """Return n random changes like one of LEACE: what they read and what they write, each (n, d_model).

        In coordinates in which the vectors have the identity as covariance LEACE takes away one direction, whatever the
        concept; so does each of these, and changes vectors as much: in the mean by the square of the length of what it
        writes, ``write`` being what LEACE writes for a value of unit variance.
        """
        variances, axes = self._axes
        wanted = float(np.clip(write @ write, variances[-1], variances[0]))
        whitened = np.array([_tilted(variances, draw.normal(size=len(variances)), wanted) for _ in range(n)])
        return whitened / np.sqrt(variances) @ axes, whitened * np.sqrt(variances) @ axes


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


def erasing(space: Space, directions: dict[str, Values]) -> Iterator[Change]:
    """Yield projections off directions of length 1 that leave the mean where it is."""
    for name, direction in directions.items():
        middle = float(space.mean @ direction)
        yield Change(ERASE, name, direction, direction, (middle, middle))


def projecting(space: Space, pairs: dict[str, tuple[Values, Values]]) -> Iterator[Change]:
    """Yield changes that read along one direction and write along another, as LEACE does, and keep the mean."""
    for name, (read, write) in pairs.items():
        middle = float(space.mean @ read)
        yield Change(LEACE, name, read, write, (middle, middle))


def stepping(space: Space, directions: dict[str, Values], deviations: float, method: str) -> Iterator[Change]:
    """Yield steps along directions of length 1, so many standard deviations against the class of each, or along it."""
    sign = -1 if method == AGAINST else 1
    for name, direction in directions.items():
        far = sign * deviations * space.deviation(direction)
        yield Change(method, name, np.zeros_like(direction), direction, (-far, far))


def chosen_layers(n_layers: int, every: int, onset: int | None) -> list[int]:
    """Return every so many layers, the last, and the three around an onset."""
    around = [] if onset is None else [onset - 1, onset, onset + 1]
    return sorted({*range(0, n_layers, every), n_layers - 1, *(layer for layer in around if 0 <= layer < n_layers)})


def asked_statements(
    labels: NDArray[np.int8], groups: NDArray[np.int64], tested: list[NDArray[np.int64]], n: int, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return about n statements, ascending, and for each the number of the split that holds it out.

    ``tested`` are the statements that each split holds out, of which those count whose group is held out whole. Whole
    groups are drawn, each the first of those left that brings more of the class of which there are fewer, until there
    are n statements or no groups are left.
    """
    draw = np.random.default_rng(seed)
    of_split = np.full(len(labels), -1)
    for number in draw.permutation(len(tested)):
        trained = np.delete(groups, tested[number])
        new = (of_split < 0) & np.isin(np.arange(len(labels)), tested[number]) & ~np.isin(groups, trained)
        of_split[new] = number
    left = [np.flatnonzero((groups == group) & (of_split >= 0)) for group in draw.permutation(np.unique(groups))]
    left, chosen = [group for group in left if len(group)], list[int]()
    while left and len(chosen) < n:
        balance = sum(2 * labels[chosen].astype(int) - 1)
        gains = [-np.sign(balance) * sum(2 * labels[group].astype(int) - 1) for group in left]
        best = next((place for place, gain in enumerate(gains) if gain > 0), 0) if balance else 0
        chosen += left.pop(best).tolist()
    asked = np.sort(np.array(chosen, dtype=np.int32))
    return asked, of_split[asked].astype(np.int32)
