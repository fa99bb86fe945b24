"""What a model answered as it is and with its vectors changed, read from the file that `measure_effects` writes."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conceptdepth.depth.interventions import AGAINST, ALONG, RANDOM
from conceptdepth.ground.hdf5 import (
    FLOAT,
    INTEGER,
    TEXT,
    array,
    attribute,
    check_strings,
    open_hdf5,
    undamaged,
)
from conceptdepth.ground.names import CELL, CONCEPT

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Effects:
    """What a model answered in one cell, as it is and changed; shapes are those of its file."""

    names: dict[str, str]
    log_odds: Values
    mass: Values
    changed_log_odds: Values
    changed_mass: Values
    divergence: Values
    labels: NDArray[np.int8]
    groups: NDArray[np.object_]
    layers: NDArray[np.int32]
    methods: NDArray[np.object_]
    directions: NDArray[np.object_]
    ids: NDArray[np.object_] = field(repr=False)

    def __post_init__(self) -> None:
        """Raise `ValueError` if shapes do not belong together."""
        n, shape = len(self.log_odds), (len(self.layers), len(self.methods))
        own = int((self.directions == CONCEPT).sum())
        fit = self.changed_log_odds.shape == (*shape, n) and self.changed_mass.shape == (shape[0], own, n)
        rows = {len(each) for each in (self.mass, self.labels, self.groups, self.ids)} | {n}
        if not fit or self.divergence.shape != shape or len(self.directions) != shape[1] or len(rows) > 1:
            raise ValueError("its arrays do not belong together")

    @property
    def ways(self) -> list[str]:
        """Methods, each once."""
        return list(dict.fromkeys(self.methods.tolist()))

    def of(self, method: str, direction: str) -> Values:
        """Return the effects of a change, shape (n_layers, n_statements)."""
        place = int(np.flatnonzero((self.methods == method) & (self.directions == direction))[0])
        lost = (self.log_odds - self.changed_log_odds[:, place]) * (2.0 * self.labels - 1)
        return -lost if method == ALONG else lost

    def of_controls(self, method: str) -> Values:
        """Return the effects of random directions, shape (n_controls, n_layers, n_statements).

        To move towards a class along one direction is to move against it along the opposite one, which is as random: so
        the steps against it are the controls of both.
        """
        if method == ALONG:
            return -self.of_controls(AGAINST)
        names = [name for name in dict.fromkeys(self.directions.tolist()) if name.startswith(RANDOM)]
        return np.array([self.of(method, name) for name in names])

    def mass_change(self, method: str) -> Values:
        """Return what a change along the concept adds to the probability of any answer, the mean, (n_layers,)."""
        own = self.methods[self.directions == CONCEPT].tolist().index(method)
        return (self.changed_mass[:, own] - self.mass).mean(axis=1)

    def divergence_of(self, method: str) -> tuple[Values, Values]:
        """Return the divergence on neutral prompts, of the concept and the mean of the controls, each (n_layers,)."""
        controls = np.char.startswith(self.directions.astype(str), RANDOM)
        wanted = AGAINST if method == ALONG else method
        own = self.divergence[:, (self.methods == method) & (self.directions == CONCEPT)]
        return own[:, 0], self.divergence[:, (self.methods == wanted) & controls].mean(axis=1)


def read_effects(path: str | Path) -> Effects:
    """Read the file that `measure_effects` wrote. Raises `UserError` if it is damaged."""
    with undamaged(path), open_hdf5(path, check_strings) as file:

        def numbers(name: str, axes: int) -> Values:
            return array(file, name, FLOAT, axes)[:].astype(float)

        def texts(name: str) -> NDArray[np.object_]:
            return array(file, name, TEXT, 1).asstr()[:]

        return Effects(
            {name: attribute(file, name, TEXT) for name in CELL},
            *(numbers("log_odds", 1), numbers("mass", 1)),
            *(numbers("changed_log_odds", 3), numbers("changed_mass", 3), numbers("divergence", 2)),
            array(file, "label", INTEGER, 1)[:],
            texts("group"),
            array(file, "layer", INTEGER, 1)[:],
            *(texts("method"), texts("direction")),
            texts("id"),
        )
