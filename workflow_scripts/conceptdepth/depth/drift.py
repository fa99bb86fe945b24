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


def debiased_cka(first: Vectors, second: Vectors) -> float:
    """Return the linear CKA with unbiased estimates of its terms, at most 1 and around 0 for unrelated vectors.

    Of few statements with many features `linear_cka` is high whatever they are; this is not (the estimator of the
    Hilbert-Schmidt independence criterion of Song et al. 2012, *Journal of Machine Learning Research* 13, 1393-1434,
    equation 5; for CKA Nguyen, Raghu and Kornblith 2021, arXiv 2010.15327). NaN of fewer than four statements.
    """
    if len(first) < 4:
        return float("nan")
    x, y = _without_diagonal(first), _without_diagonal(second)
    return float(_hsic(x, y) / np.sqrt(_hsic(x, x) * _hsic(y, y)))


def _without_diagonal(vectors: Vectors) -> Vectors:
    """Return the products of statements, which are centred so that rounding stays small, with 0 for their own."""
    centred = vectors - vectors.mean(axis=0)
    products = centred @ centred.T
    np.fill_diagonal(products, 0)
    return products


def _hsic(x: Vectors, y: Vectors) -> float:
    """Return the unbiased estimate of dependence, but for the factor n (n - 3), which cancels in a ratio."""
    n = len(x)
    of_x, of_y = x.sum(axis=0), y.sum(axis=0)
    return float(np.sum(x * y) + of_x.sum() * of_y.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * of_x @ of_y)


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
        "cka_debiased": debiased_cka(one, other),
        "outliers_first": outlier_share(one, outlier),
        "outliers_second": outlier_share(other, outlier),
    }
