"""Changes of the vectors of some layers, and the file that has them.

Each is affine and of rank one, x - (x . read - at) write: a projection off a direction that keeps the mean (``read``
and ``write`` that direction, ``at`` what the mean has of it), one that looks along one direction and writes along
another (LEACE), or a step (``read`` 0, ``write`` a direction, ``at`` how far). Layout, version 1::

    /read, /write   float32 (n_layers, n_splits, n_changes, d_model)
    /at             float32 (n_layers, n_splits, n_changes, 2), for statements of class 0 and of class 1
    /layer          int32   (n_layers,), those that are changed, ascending
    /method         UTF-8 strings (n_changes,), how, /direction (n_changes,): along what, `CONCEPT` or a control
    /statement      int32   (n_statements,), rows of the prompts that are asked, ascending
    /split          int32   (n_statements,), the split of each that held it out of what its changes were made of
    attributes      position: whose tokens are changed
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from conceptdepth.ground.hdf5 import (
    FLOAT,
    INTEGER,
    TEXT,
    array,
    attribute,
    check_strings,
    new_hdf5,
    open_hdf5,
    undamaged,
)
from conceptdepth.ground.names import CONCEPT

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Changes:
    """What is done to which vectors; shapes are those of the file."""

    read: Numbers
    write: Numbers
    at: Numbers
    layers: NDArray[np.int32]
    methods: list[str]
    directions: list[str]
    statements: NDArray[np.int32]
    splits: NDArray[np.int32]
    position: str

    def __post_init__(self) -> None:
        """Raise `ValueError` if shapes do not belong together."""
        shape = (len(self.layers), self.read.shape[1], len(self.methods))
        fit = self.read.shape == self.write.shape and self.read.shape[:3] == shape and self.at.shape == (*shape, 2)
        if not fit or len(self.directions) != len(self.methods) or len(self.splits) != len(self.statements):
            raise ValueError("its arrays do not belong together")
        if not np.isin(self.splits, np.arange(shape[1])).all():
            raise ValueError("it has statements of a split that it does not have")
        if (self.statements < 0).any() or (self.layers < 0).any():
            raise ValueError("it has statements or layers below 0")

    @property
    def of_concept(self) -> NDArray[np.int64]:
        """Numbers of the changes along the concept, the others being controls."""
        return np.flatnonzero(np.array(self.directions) == CONCEPT)


def write_changes(path: str | Path, changes: Changes, record: str) -> None:
    """Write a file of changes, which names the record of its job."""
    with new_hdf5(path) as file:
        file.attrs.update({"record": record, "position": changes.position})
        for name in ("read", "write", "at"):
            file.create_dataset(name, data=getattr(changes, name))
        for name, values in (("layer", changes.layers), ("statement", changes.statements), ("split", changes.splits)):
            file.create_dataset(name, data=values)
        for name, words in (("method", changes.methods), ("direction", changes.directions)):
            file.create_dataset(name, data=words, dtype=h5py.string_dtype())


def read_changes(path: str | Path) -> Changes:
    """Read a file of changes. Raises `UserError` if it is damaged."""
    with undamaged(path), open_hdf5(path, check_strings) as file:
        return Changes(
            read=array(file, "read", FLOAT, 4)[:],
            write=array(file, "write", FLOAT, 4)[:],
            at=array(file, "at", FLOAT, 4)[:],
            layers=array(file, "layer", INTEGER, 1)[:],
            methods=array(file, "method", TEXT, 1).asstr()[:].tolist(),
            directions=array(file, "direction", TEXT, 1).asstr()[:].tolist(),
            statements=array(file, "statement", INTEGER, 1)[:],
            splits=array(file, "split", INTEGER, 1)[:],
            position=attribute(file, "position", TEXT),
        )
