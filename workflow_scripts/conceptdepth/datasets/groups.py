"""Groups of statements that belong together, as arrays."""

import numpy as np
from numpy.typing import NDArray


def group_numbers(groups: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the place of each statement's group in ``np.unique`` of them, shape (n_statements,)."""
    return np.unique(groups.astype(str), return_inverse=True)[1]
