"""Vectors of a cell from its activation file, which stays where it is.

Each dataset lies in the file in one piece, so that it is mapped into memory: nothing is read, copied or kept open until
somebody asks for numbers, and a layer is one read.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from conceptdepth.activations.store import open_activations, read_labels, vectors_of
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.interface.vectors import Vectors


def stored_vectors(path: str | Path) -> Vectors:
    """Return the vectors of an activation file, each array read-only and on disk.

    Raises `UserError` if it is another file, or damaged.
    """
    with open_activations(path) as file:
        held = read_labels(file)
        mapped = {place: _mapped(vectors) for place, vectors in vectors_of(file, embedding=True).items()}
    return Vectors(
        arrays={place: array for place, array in mapped.items() if place[0] != EMBEDDING},
        embedding={position: array for (site, position), array in mapped.items() if site == EMBEDDING},
        ids=held.ids,
        labels=held.labels,
        groups=held.groups,
        n_tokens=held.n_tokens,
    )


def _mapped(vectors: h5py.Dataset) -> np.memmap[Any, Any]:
    """Return a dataset that lies in its file in one piece (`conceptdepth.ground.hdf5.array`) as an array on disk."""
    return np.memmap(
        vectors.file.filename, vectors.dtype, mode="r", offset=vectors.id.get_offset(), shape=vectors.shape
    )
