"""At which layer is a concept known? Definitions on a curve of accuracies.

A curve is the accuracy a_i of the probe at layer i = 0 .. d-1 of a model with d layers. The definitions are
those of "Exploring Concept Depth" (Jin et al., arXiv 2404.07066). Depths are relative, in (0, 1] or [0, 1)
as the definition says; a depth that does not exist is NaN, never 0.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

JUMP_RATIO = 1.1
"""The paper's threshold of the variation rate for a jump."""

PLATEAU_BAND = 0.03
"""The paper's half-width of the band of variation rates that count as flat."""


def variation_rate(accuracy: ArrayLike) -> NDArray[np.float64]:
    """Return b_i = a_i / a_{i-1} for i = 1 .. d-1, shape (d-1,)."""
    curve = np.asarray(accuracy, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return curve[1:] / curve[:-1]


def jump_point(accuracy: ArrayLike, *, ratio: float = JUMP_RATIO) -> float:
    """Return the first i/d with b_i >= ratio, or NaN if accuracy never jumps (arXiv 2404.07066, section 3.3)."""
    jumps = np.flatnonzero(variation_rate(accuracy) >= ratio)
    return float((jumps[0] + 1) / np.size(accuracy)) if len(jumps) else float("nan")


def converging_point_literal(accuracy: ArrayLike, *, band: float = PLATEAU_BAND) -> float:
    """Return the last i/d with |b_i - 1| < band, the formula as the paper prints it, or NaN."""
    flat = np.flatnonzero(np.abs(variation_rate(accuracy) - 1) < band)
    return float((flat[-1] + 1) / np.size(accuracy)) if len(flat) else float("nan")


def converging_point_published(accuracy: ArrayLike, *, band: float = PLATEAU_BAND) -> float:
    """Return the start of the final plateau, the rule behind the authors' published numbers.

    With i* the last layer that is not flat, |b_i - 1| >= band, it is min(d, max(3, i* + 2)) / d: the first
    layer of the plateau, counted from 1. It reproduces 27 of the 27 published values for 7B models, where
    the printed formula reproduces 1 (2 if layers are counted from 1).
    """
    steep = np.flatnonzero(~(np.abs(variation_rate(accuracy) - 1) < band)) + 1
    last = int(steep[-1]) if len(steep) else 0
    depth = np.size(accuracy)
    return min(depth, max(3, last + 2)) / depth


def peak(accuracy: ArrayLike) -> tuple[float, float]:
    """Return the highest accuracy and the relative depth i/d of the first layer that has it."""
    curve = np.asarray(accuracy, dtype=float)
    layer = int(np.argmax(curve))
    return float(curve[layer]), layer / len(curve)


def describe_curve(accuracy: ArrayLike, *, jump_ratio: float, plateau_band: float) -> dict[str, Any]:
    """Return every depth of one curve by the column names of ``concept_depth.csv``."""
    peak_accuracy, peak_depth = peak(accuracy)
    return {
        "n_layers": np.size(accuracy),
        "jump_point": jump_point(accuracy, ratio=jump_ratio),
        "converging_point_literal": converging_point_literal(accuracy, band=plateau_band),
        "converging_point_published": converging_point_published(accuracy, band=plateau_band),
        "peak_accuracy": peak_accuracy,
        "peak_depth": peak_depth,
    }
