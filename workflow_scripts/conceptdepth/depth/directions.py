"""How alike the directions of two probes are, and what random directions would be.

There are two cosines: the plain one, of weights, and that in coordinates in which the vectors have the identity as
covariance. docs/transfer.md says what each shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conceptdepth.depth.transfer import Indices, Values, weighted_areas

DIRECTIONS = 50
"""Random directions of either side, of which all pairs are the null of a cosine."""


@dataclass(frozen=True)
class Side:
    """Vectors of one layer, and what is known of them in one split."""

    vectors: Values
    """Shape (n_statements, d_model)."""
    train: Indices
    """What its probe was trained on."""
    test: Indices
    """Statements that neither probe was trained on."""

    def random_directions(self, draw: np.random.Generator) -> Values:
        """Return directions with the covariance of the training part, shape (`DIRECTIONS`, d_model).

        As differences of class means would be if classes were drawn at random.
        """
        shares = draw.normal(size=(DIRECTIONS, len(self.train)))
        return (shares - shares.mean(axis=1, keepdims=True)) @ self.vectors[self.train]


def cosines(first: Values, second: Values) -> Values:
    """Return the cosines of all directions of one side with all of the other, (n_first, n_second)."""
    return _unit(first) @ _unit(second).T


def whitened_cosines(first: Values, second: Values, sides: Sequence[Side]) -> Values:
    """Return the same in coordinates in which the vectors have the identity as covariance, (n_first, n_second).

    There a direction w is S^(1/2) w, where S is the covariance of held-out vectors, the mean of both sides' own: the
    cosine is the correlation of what two probes say of statements that neither has seen. No matrix is inverted.
    """
    parts = [(side.vectors[side.test] - side.vectors[side.test].mean(axis=0)) for side in sides if len(side.test)]
    one, other = (
        np.concatenate([(part @ each.T) / np.sqrt(len(part)) for part in parts]).T for each in (first, second)
    )
    return cosines(one, other)


def _unit(directions: Values) -> Values:
    with np.errstate(invalid="ignore"):
        return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def likeness(
    first: Sequence[Values],
    second: Sequence[Values],
    sides: Sequence[tuple[Side, Side]],
    labels: NDArray[np.int8],
    *,
    seed: int,
    level: float,
) -> dict[str, float]:
    """Return both cosines of two probes' directions by the columns of ``transfer.csv``, the means over splits.

    ``first`` and ``second`` have weights without intercept, shape (d_model,), ``sides`` the vectors, all by split.
    Beside each stand the mean and the quantile at ``level`` of its size for random directions of the first split, and
    what areas those of the first side reach by chance, in either direction, on the second, which has the ``labels``.
    """
    own = [(each[np.newaxis], its[np.newaxis]) for each, its in zip(first, second, strict=True)]
    draw = np.random.default_rng(seed)
    one, other = (side.random_directions(draw) for side in sides[0])
    whitened = [whitened_cosines(each, its, both) for (each, its), both in zip(own, sides, strict=True)]
    plain = [cosines(each, its) for each, its in own]
    areas = random_areas(one, sides[0][1], labels)
    return {
        "auc_random": float(np.mean(areas)),
        "auc_random_high": float(np.quantile(areas, level)),
        **_beside_random("cosine", plain, cosines(one, other), level),
        **_beside_random("whitened_cosine", whitened, whitened_cosines(one, other, sides[0]), level),
    }


def random_areas(directions: Values, side: Side, labels: NDArray[np.int8]) -> Values:
    """Return the area of each direction on the statements that are tested of a side, or 1 less it if that is larger."""
    said = directions @ side.vectors[side.test].T
    areas = weighted_areas(labels[side.test], said, np.ones((1, len(side.test))))[:, 0]
    return np.maximum(areas, 1 - areas)


def _beside_random(name: str, found: Sequence[Values], random: Values, level: float) -> dict[str, float]:
    sizes = np.abs(random)
    return {
        name: float(np.mean(found)),
        f"{name}_random": float(np.mean(sizes)),
        f"{name}_random_high": float(np.quantile(sizes, level)),
    }
