"""Vectors of statements in every layer, in memory or in a file: what a notebook gets of a model or of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING, LAST

ArrayLike = Any
"""A numpy array, or what is sliced like one and read only then, such as a dataset of HDF5."""


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Vectors of the same statements at sites and positions; lengths and orders of all fields are those of ``ids``."""

    arrays: Mapping[tuple[str, str], ArrayLike]
    """By site and position: float32, shape (n_layers, n_statements, d_model). Positions that read the same tokens of
    every prompt share one array."""
    embedding: Mapping[str, ArrayLike] = field(default_factory=dict)
    """By position: what the first block gets, float32, shape (1, n_statements, d_model)."""
    ids: NDArray[np.object_]
    """Name of each statement, shape (n_statements,)."""
    n_tokens: NDArray[np.int32]
    """Tokens of each prompt, shape (n_statements,)."""
    labels: NDArray[np.int8] | None = None
    """Class of each statement, 0 or 1, shape (n_statements,); None if that is not known."""
    groups: NDArray[np.object_] | None = None
    """Group of each statement, shape (n_statements,); None if that is not known."""

    def __repr__(self) -> str:
        """Say of what they are, and of which shape; the arrays are many pages."""
        places = [*self.arrays.items(), *(((EMBEDDING, position), array) for position, array in self.embedding.items())]
        shapes = "; ".join(f"{', '.join(place)} {tuple(array.shape)}" for place, array in places)
        return f"Vectors of {len(self.ids)} statements: {shapes or 'none'}"

    def at(self, *, site: str = "mlp_input", position: str = LAST) -> ArrayLike:
        """Return the vectors of all layers at a site and position, shape (n_layers, n_statements, d_model).

        The site ``embedding`` has one layer. Raises `UserError` if they were not read there.
        """
        found = self.embedding.get(position) if site == EMBEDDING else self.arrays.get((site, position))
        if found is None:
            there = [*self.arrays, *((EMBEDDING, position) for position in self.embedding)]
            raise UserError(
                f"there are no vectors at {site}, {position}; there are "
                f"{'; '.join(', '.join(place) for place in there) or 'none'}."
            )
        return found
