"""What the probes of a cell predicted of held-out statements, read from the files that `train_probes` writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import h5py
import numpy as np
from numpy.typing import NDArray

from conceptdepth.datasets.groups import group_numbers
from conceptdepth.ground.names import CELL
from conceptdepth.probes.splits import Indices
from conceptdepth.probes.tasks import CONCEPT

LOGISTIC_REGRESSION = "logistic_regression"
"""The classifier of every baseline."""


def split_group(site: str, probe: str, target: str, seed: int) -> str:
    """Return the path of the group of one split in a file of probes or baselines."""
    return f"{site}/{probe}/{target}/seed_{seed}"


def splits_of_curve(file: h5py.File, site: str, probe: str) -> list[h5py.Group]:
    """Return the groups of a probe that was trained for the concept, in the order of `Curve.splits`."""
    return list(file[site][probe][CONCEPT].values())


@dataclass(frozen=True)
class Split:
    """The held-out statements of one split and what the probe of each layer makes of them."""

    test: NDArray[np.int64]
    """Which statements, shape (n_test,)."""
    predicted: NDArray[np.int8]
    """Class by layer and statement, shape (n_layers, n_test)."""


@dataclass(frozen=True)
class Curve:
    """One curve of a cell: a probe of each layer, trained for the concept on each of the splits."""

    names: dict[str, str]
    """By `conceptdepth.ground.names.CURVE`; a baseline has no model and no quantization, and its name in the place of a
    site."""
    labels: NDArray[np.int8]
    """Class of each statement of the dataset, shape (n_statements,)."""
    groups: NDArray[np.object_]
    """Group of each statement, shape (n_statements,)."""
    splits: tuple[Split, ...]
    """One for each seed."""

    @cached_property
    def group_numbers(self) -> Indices:
        """Number of each statement's group, see `conceptdepth.datasets.groups.group_numbers`."""
        return group_numbers(self.groups)


def read_curves(path: str) -> Iterator[Curve]:
    """Yield the curves of a cell from its file of probes, in the order of configured probes at each site.

    That of the embedding has one layer, and so have those of a file of baselines.
    """
    with h5py.File(path) as file:
        cell = {name: file.attrs[name] for name in CELL if name in file.attrs}
        labels, groups = file["label"][:], file["group"].asstr()[:]
        for site in (name for name, item in file.items() if isinstance(item, h5py.Group)):
            for probe in file.attrs["probes"]:
                splits = tuple(
                    Split(split["test"][:], (split["decision"][:] > 0).astype(np.int8))
                    for split in splits_of_curve(file, site, probe)
                )
                yield Curve(cell | {"site": site, "probe": probe}, labels, groups, splits)
