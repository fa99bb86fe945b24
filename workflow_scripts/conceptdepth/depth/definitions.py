"""At which layer is a concept known? Definitions on curves of accuracies.

A curve is the accuracy a_i of the probe at layer i = 0 .. d-1 of a model with d layers. Every function takes curves
along the last axis, shape (..., d), and returns one value for each, shape (...): one curve, or all draws of a bootstrap
at once. The depth of layer i is i/d, in [0, 1), for all but `converging_point_published`, which is the paper's. A depth
that does not exist is NaN, never 0, and so is all of a curve that has a NaN. Jump and converging points are those of
"Exploring Concept Depth" (Jin et al., arXiv 2404.07066).
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

JUMP_RATIO = 1.1
"""The paper's threshold of the variation rate for a jump."""

PLATEAU_BAND = 0.03
"""The paper's half-width of the band of variation rates that count as flat."""

PEAK_SHARE = 0.95
"""Share of the peak at which a curve counts as near it."""

Values = NDArray[np.float64]


def of_known_curves(definition: Callable[..., Values]) -> Callable[..., Values]:
    """Make a definition NaN for each curve that has a NaN."""

    @wraps(definition)
    def found(accuracy: ArrayLike, *arguments: Any, **options: Any) -> Values:
        unknown = np.isnan(np.asarray(accuracy, dtype=float)).any(axis=-1)
        return np.where(unknown, np.nan, definition(accuracy, *arguments, **options))[()]

    return found


def variation_rate(accuracy: ArrayLike) -> Values:
    """Return b_i = a_i / a_{i-1} for i = 1 .. d-1, shape (..., d-1)."""
    curve = np.asarray(accuracy, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return curve[..., 1:] / curve[..., :-1]


@of_known_curves
def jump_point(accuracy: ArrayLike, *, ratio: float = JUMP_RATIO) -> Values:
    """Return the first i/d with b_i >= ratio, or NaN if accuracy never jumps (arXiv 2404.07066, section 3.3)."""
    return first_where(variation_rate(accuracy) >= ratio, 1) / _layers(accuracy)


@of_known_curves
def converging_point_literal(accuracy: ArrayLike, *, band: float = PLATEAU_BAND) -> Values:
    """Return the last i/d with |b_i - 1| < band, the formula as the paper prints it, or NaN."""
    return _last(np.abs(variation_rate(accuracy) - 1) < band, 1) / _layers(accuracy)


@of_known_curves
def converging_point(accuracy: ArrayLike, *, band: float = PLATEAU_BAND) -> Values:
    """Return the start of the final plateau: i/d of the last layer that is not flat, |b_i - 1| >= band, or 0."""
    return _last_steep(accuracy, band) / _layers(accuracy)


@of_known_curves
def converging_point_published(accuracy: ArrayLike, *, band: float = PLATEAU_BAND) -> Values:
    """Return the start of the final plateau as the authors' published numbers count it.

    With i* the layer of `converging_point`, it is min(d, max(3, i* + 2)) / d: counted from 1, and one layer further. It
    reproduces 27 of the 27 published values for 7B models, where the printed formula reproduces 1 (2 if layers are
    counted from 1). Two layers are a larger share of a model with fewer, so that models of different depth are not
    compared by it.
    """
    depth = _layers(accuracy)
    return np.minimum(depth, np.maximum(3, _last_steep(accuracy, band) + 2)) / depth


def _last_steep(accuracy: ArrayLike, band: float) -> Values:
    """Return the last layer that differs from the one before by ``band`` or more, or 0."""
    return np.nan_to_num(_last(~(np.abs(variation_rate(accuracy) - 1) < band), 1), nan=0.0)


@of_known_curves
def one_se_depth(accuracy: ArrayLike, standard_error: ArrayLike) -> Values:
    """Return the first i/d whose accuracy is within one standard error of the peak, that of the peak's own layer.

    The one-standard-error rule of Breiman et al. (1984, *Classification and Regression Trees*) for layers in place of
    trees: the earliest that the data cannot tell from the best. ``standard_error`` has the shape (d,).
    """
    curve = np.asarray(accuracy, dtype=float)
    best = np.argmax(curve, axis=-1, keepdims=True)
    bound = np.take_along_axis(curve, best, -1) - np.asarray(standard_error)[best]
    return first_depth(curve >= bound)


@of_known_curves
def near_peak_depth(accuracy: ArrayLike, *, share: float = PEAK_SHARE) -> Values:
    """Return the first i/d whose accuracy is at least ``share`` of the peak."""
    curve = np.asarray(accuracy, dtype=float)
    return first_depth(curve >= share * curve.max(axis=-1, keepdims=True))


@of_known_curves
def gain_centre(accuracy: ArrayLike) -> Values:
    """Return the centre of mass of the gain: the mean of i/d, weighted by what layer i adds to the best so far.

    The expected layer of Tenney et al. (2019, arXiv 1905.05950), who score layers 0 to i together, which cannot
    lose; here the best of them stands for that. NaN if no layer is better than the first.
    """
    curve = np.asarray(accuracy, dtype=float)
    gain = np.diff(np.maximum.accumulate(curve, axis=-1), axis=-1)
    with np.errstate(invalid="ignore"):
        return gain @ np.arange(1, curve.shape[-1]) / gain.sum(axis=-1) / _layers(curve)


def peak(accuracy: ArrayLike) -> tuple[Values, Values]:
    """Return the highest accuracy and the relative depth i/d of the first layer that has it."""
    curve = np.asarray(accuracy, dtype=float)
    highest = curve.max(axis=-1)
    return highest, np.where(np.isnan(highest), np.nan, np.argmax(curve, axis=-1) / _layers(curve))[()]


def held_out_peak(chosen_on: ArrayLike, reported_on: ArrayLike) -> Values:
    """Return the accuracy on some statements of the layer that is best on others: a peak not picked by luck."""
    best = np.argmax(np.asarray(chosen_on), axis=-1, keepdims=True)
    return np.take_along_axis(np.asarray(reported_on, dtype=float), best, -1)[..., 0]


def describe_curve(
    accuracy: ArrayLike,
    *,
    jump_ratio: float,
    plateau_band: float,
    peak_share: float,
    standard_error: ArrayLike | None = None,
) -> dict[str, Any]:
    """Return every depth of each curve by the column names of ``concept_depth.csv``.

    Without standard errors of the layers, shape (d,), there is no ``one_se_depth``.
    """
    curve = np.asarray(accuracy, dtype=float)
    peak_accuracy, peak_depth = peak(curve)
    found = {
        "gain_centre": gain_centre(curve),
        "jump_point": jump_point(curve, ratio=jump_ratio),
        "converging_point": converging_point(curve, band=plateau_band),
        "converging_point_literal": converging_point_literal(curve, band=plateau_band),
        "converging_point_published": converging_point_published(curve, band=plateau_band),
        "near_peak_depth": near_peak_depth(curve, share=peak_share),
        "peak_accuracy": peak_accuracy,
        "peak_depth": peak_depth,
    }
    if standard_error is not None:
        found["one_se_depth"] = one_se_depth(curve, standard_error)
    return found


def _layers(accuracy: ArrayLike) -> int:
    return np.shape(accuracy)[-1]


def first_depth(holds: NDArray[np.bool_]) -> Values:
    """Return the relative depth i/d of the first layer at which a condition, shape (..., d), holds, or NaN."""
    return (first_where(holds) / holds.shape[-1])[()]


def first_where(holds: NDArray[np.bool_], start: int = 0) -> Values:
    """Return the first place at which a condition, shape (..., n), holds, counted from ``start``, or NaN."""
    if not holds.shape[-1]:
        return np.full(holds.shape[:-1], np.nan)
    return np.where(holds.any(axis=-1), np.argmax(holds, axis=-1) + start, np.nan)


def _last(holds: NDArray[np.bool_], start: int) -> Values:
    """Return the last place at which a condition holds, counted from ``start``, or NaN."""
    return holds.shape[-1] - 1 + 2 * start - first_where(holds[..., ::-1], start)
