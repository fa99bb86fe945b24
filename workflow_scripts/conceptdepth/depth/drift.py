"""How far activations of the same statements move: from one weight format to another, from clean to perturbed texts.

Each measure takes the vectors of one layer, shape (n_statements, d_model), as they are and as they became.
"""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.floating]


def cosine(first: Vectors, second: Vectors) -> float:
    """Return the mean cosine between the vectors of each statement."""
    products = np.einsum("ij,ij->i", first, second)
    return float(np.mean(products / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))))


def relative_change(first: Vectors, second: Vectors) -> float:
    """Return the length of each statement's change relative to its vector, mean over statements.

    A cosine cannot tell 1e-4 from 1e-6; this can, and so shows whether a change is more than rounding.
    """
    return float(np.mean(np.linalg.norm(second - first, axis=1) / np.linalg.norm(first, axis=1)))


def linear_cka(first: Vectors, second: Vectors) -> float:
    """Return the linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414), from 0 to 1.

    One if both are the same up to rotation, scale and shift: a probe trained anew would not notice. From products of
    statements or of features, whichever are fewer: both are the same number.
    """
    x, y = first - first.mean(axis=0), second - second.mean(axis=0)
    n, d = x.shape
    if n < d:
        of_x, of_y = x @ x.T, y @ y.T
        return float(np.sum(of_x * of_y) / (np.linalg.norm(of_x) * np.linalg.norm(of_y)))
    return float(np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def outlier_share(vectors: Vectors, threshold: float) -> float:
    """Return the share of values at least ``threshold`` away from 0.

    LLM.int8() keeps features with such a value in 16 bits (Dettmers et al. 2022, arXiv 2208.07339), at 6.0.
    """
    return float(np.mean(np.abs(vectors) >= threshold))


def measures(first: Vectors, second: Vectors, *, outlier: float) -> dict[str, float]:
    """Return all measures of a layer by the columns of ``activation_drift.csv``, computed in float64."""
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    return {
        "cosine": cosine(one, other),
        "relative_change": relative_change(one, other),
        "cka": linear_cka(one, other),
        "outliers_first": outlier_share(one, outlier),
        "outliers_second": outlier_share(other, outlier),
    }
