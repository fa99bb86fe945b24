"""Vectors of statements at every layer, in memory or on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.ground.names import LAST


@dataclass(frozen=True)
class Vectors:
    """What was read of statements inside a model."""

    arrays: Mapping[tuple[str, str], Any]
    """By site and position, float32 (n_layers, n_statements, d_model); layers count from 0."""
    embedding: Mapping[str, Any]
    """By position, the input of the first block, float32 (1, n_statements, d_model)."""
    ids: NDArray[np.object_]
    """Name of each statement, shape (n_statements,), in the order of all arrays."""
    labels: NDArray[np.int8] | None
    """0 or 1, shape (n_statements,); None if they are not known."""
    groups: NDArray[np.object_] | None
    """Statements of one group, such as both claims about a city, stay together when a part is held out."""
    n_tokens: NDArray[np.int32]
    """Tokens of each prompt, shape (n_statements,)."""

    def at(self, site: str = "mlp_input", position: str = LAST) -> Any:
        """Return the vectors of one place, (n_layers, n_statements, d_model). Raises `UserError` if there are none."""
        if (site, position) not in self.arrays:
            there = one_of(" at ".join(place) for place in self.arrays)
            raise UserError(f"there are no vectors of {site} at {position}; there are {there}.")
        return self.arrays[site, position]
