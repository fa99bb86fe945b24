"""How far a curve is above what needs no trained layer: words, an embedding, random weights, the larger class."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.depth.definitions import first_where
from conceptdepth.depth.resampling import accuracy
from conceptdepth.probes.predictions import Curve, Split

Values = NDArray[np.float64]

MAJORITY = "majority"
"""The baseline that every curve has: always to name the class that most statements have."""


@dataclass(frozen=True)
class Above:
    """How far a curve is above the best of its baselines."""

    name: str
    """The baseline with the highest accuracy."""
    accuracy: Values
    """Of the best baseline at each layer, shape (n_layers,)."""
    p_values: Values
    """Of "no layer is above the best baseline", shape (n_layers,)."""
    values: dict[str, float]
    """Quantities of the curve: the largest excess, and the relative depth of the first layer above."""
    draws: dict[str, Values]
    """The same of each draw, shape (draws,)."""


def above_baselines(
    curve: Curve, baselines: Mapping[str, Curve], weights: Values, level: float, *, p_chance: Values
) -> Above:
    """Compare a curve with the best of its baselines at each layer, on the same statements in each draw.

    ``baselines`` have one layer, or as many as the curve, and are compared layer by layer. ``weights`` are draws of
    groups, shape (draws, n_groups). A layer is above if its excess, in standard errors of the bootstrap, is beyond
    the ``level`` quantile of the largest deviation of any layer in each draw: a one-sided band over all layers at
    once by the bootstrap (single-step max T of Westfall and Young 1993, *Resampling-Based Multiple Testing*). The
    best of several is taken on the tested statements, and so is a little too good: depths come rather late than
    early.

    What is not above chance is not above a baseline: ``p_chance``, shape (n_layers,), are p values of a test that is
    exact, and the larger p value of both counts (an intersection-union test; Berger 1982, Technometrics 24, 295-300).
    Of few groups the bootstrap alone is too sure. Where they are NaN, it stands alone.
    """
    every = {MAJORITY: majority(curve), **baselines}
    of_each = {name: accuracy(one) for name, one in every.items()}
    best = _best(of_each.values()) + np.zeros_like(accuracy(curve))
    excess = accuracy(curve) - best
    drawn = accuracy(curve, weights) - _best(accuracy(one, weights) for one in every.values())
    error = _errors(drawn)
    largest = _largest(drawn - excess, error)
    bound = error * (np.quantile(largest, level) if len(largest) else np.nan)
    bound = np.where(p_chance > 1 - level, np.inf, bound)
    reached = (largest[:, np.newaxis] >= excess / error).sum(axis=0)
    return Above(
        name=max(of_each, key=lambda name: of_each[name].max()),
        accuracy=best,
        p_values=np.where(np.isnan(error), np.nan, np.fmax((1 + reached) / (1 + len(largest)), p_chance)),
        values=_quantities(excess, bound),
        draws=_quantities(drawn, bound),
    )


def majority(curve: Curve) -> Curve:
    """Return the curve, of one layer, of always naming the larger class of the dataset."""
    larger = np.int8(curve.labels.mean() > 0.5)
    splits = tuple(Split(split.test, np.full((1, len(split.test)), larger)) for split in curve.splits)
    return Curve(curve.names, curve.labels, curve.groups, splits)


def _best(accuracies: Iterable[Values]) -> Values:
    return reduce(np.maximum, accuracies)


def _errors(drawn: Values) -> Values:
    """Return standard errors, shape (n_layers,); NaN where all draws agree, which says nothing."""
    if len(drawn) < 2:
        return np.full(drawn.shape[1], np.nan)
    error = np.nanstd(drawn, axis=0, ddof=1)
    return np.where(error > 0, error, np.nan)


def _largest(deviations: Values, error: Values) -> Values:
    """Return the largest deviation of any layer in standard errors, shape (draws,), of draws that have one."""
    in_errors = deviations[:, ~np.isnan(error)] / error[~np.isnan(error)]
    in_errors = in_errors[~np.isnan(in_errors).any(axis=1)]
    return in_errors.max(axis=1) if in_errors.size else np.empty(0)


def _quantities(excess: Values, bound: Values) -> dict[str, Any]:
    """Return what describes excesses, shape (..., n_layers), by the names of ``concept_depth.csv``."""
    first = first_where(excess > bound) / excess.shape[-1]
    return {"peak_above_baseline": excess.max(axis=-1), "first_above_baseline": first[()]}
