"""How far activations of the same statements move: from one weight format to another, from clean to perturbed texts.

Each measure takes the vectors of one layer, shape (n_statements, d_model), as they are and as they became.
"""

import numpy as np
from numpy.typing import NDArray

from conceptdepth.depth.resampling import accuracy
from conceptdepth.depth.uncertainty import design_of, standard_error, t_interval
from conceptdepth.probes.predictions import Curve

Vectors = NDArray[np.floating]

Values = NDArray[np.float64]


def cosine(first: Vectors, second: Vectors) -> float:
    """Return the mean cosine between the vectors of each statement."""
    products = np.einsum("ij,ij->i", first, second)
    return float(np.mean(products / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))))


def relative_change(first: Vectors, second: Vectors) -> float:
    """Return the length of each statement's change relative to its vector, mean over statements.

    A cosine cannot tell 1e-4 from 1e-6; this can, and so shows whether a change is more than rounding.
    """
    return float(np.mean(np.linalg.norm(second - first, axis=1) / np.linalg.norm(first, axis=1)))


def linear_cka(first: Vectors, second: Vectors) -> tuple[float, float]:
    """Return the linear centred kernel alignment, and the same without its bias.

    From 0 to 1 (Kornblith et al. 2019, arXiv 1905.00414): one if both are the same up to rotation, scale and shift, so
    that a probe trained anew would not notice. Of few statements with many features it is high whatever they are. With
    unbiased estimates of its terms it is not, and around 0 for unrelated vectors (the Hilbert-Schmidt independence
    criterion of Song et al. 2012, *Journal of Machine Learning Research* 13, 1393-1434, equation 5; for CKA Nguyen,
    Raghu and Kornblith 2021, arXiv 2010.15327); NaN of fewer than four statements.
    """
    x, y = first - first.mean(axis=0), second - second.mean(axis=0)
    of_both, of_x, of_y = _alignments(x, y)
    biased = of_both / np.sqrt(of_x * of_y)
    if len(x) < 4:
        return float(biased), np.nan
    k, l = (np.einsum("ij,ij->i", vectors, vectors) for vectors in (x, y))  # noqa: E741 - the kernels' usual names
    unbiased = _without_bias(of_both, k, l) / np.sqrt(_without_bias(of_x, k, k) * _without_bias(of_y, l, l))
    return float(biased), float(unbiased)


def _alignments(x: Vectors, y: Vectors) -> tuple[float, float, float]:
    """Return the sums over pairs of statements of products of kernels: of both, of the first's and the second's alone.

    From products of statements or of features, whichever are fewer: both are the same numbers.
    """
    n, d = x.shape
    if n < d:
        k, l = x @ x.T, y @ y.T  # noqa: E741
        return float(np.vdot(k, l)), float(np.vdot(k, k)), float(np.vdot(l, l))
    of_both, of_x, of_y = (float(np.linalg.norm(one.T @ other) ** 2) for one, other in ((y, x), (x, x), (y, y)))
    return of_both, of_x, of_y


def _without_bias(alignment: float, k: Vectors, l: Vectors) -> float:  # noqa: E741
    """Return the unbiased estimate of dependence, but for the factor n (n - 3), which cancels in a ratio.

    ``k`` and ``l`` are the kernels of each statement with itself, which do not count. Of centred vectors the others of
    a statement sum to minus that.
    """
    n = len(k)
    return alignment + k.sum() * l.sum() / ((n - 1) * (n - 2)) - (1 + 2 / (n - 2)) * k @ l


def outlier_share(vectors: Vectors, threshold: float) -> float:
    """Return the share of values at least ``threshold`` away from 0.

    LLM.int8() keeps features with such a value in 16 bits (Dettmers et al. 2022, arXiv 2208.07339), at 6.0.
    """
    return float(np.mean(np.abs(vectors) >= threshold))


def measures(first: Vectors, second: Vectors, *, outlier: float) -> dict[str, float]:
    """Return all measures of a layer by the columns of ``activation_drift.csv``, computed in float64."""
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    cka, cka_debiased = linear_cka(one, other)
    return {
        "cosine": cosine(one, other),
        "relative_change": relative_change(one, other),
        "cka": cka,
        "cka_debiased": cka_debiased,
        "outliers_first": outlier_share(one, outlier),
        "outliers_second": outlier_share(other, outlier),
    }


def transfer(first: Curve, tested: Curve | None, second: Curve, weights: Values, level: float) -> dict[str, Values]:
    """Return accuracies of each layer: of each cell's own probe, and of the first cell's on the second.

    ``transfer_change`` is what the first's loses or gains on the second, with an interval of the whole experiment.
    """
    own = accuracy(first)
    columns = {"accuracy_first": own, "accuracy_second": accuracy(second)}
    if tested is None:
        names = ("accuracy_transferred", "transfer_change", "transfer_change_low", "transfer_change_high")
        return columns | dict.fromkeys(names, np.full(len(own), np.nan))
    moved = accuracy(tested)
    design = design_of(first)
    error = standard_error(accuracy(tested, weights) - accuracy(first, weights), design)
    low, high = t_interval(moved - own, error, design.df, level, within=(-1.0, 1.0))
    return columns | {
        "accuracy_transferred": moved,
        "transfer_change": moved - own,
        "transfer_change_low": low,
        "transfer_change_high": high,
    }
