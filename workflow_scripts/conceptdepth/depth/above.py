"""How far a curve is above what needs no trained layer: words, an embedding, random weights, the larger class."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from conceptdepth.depth.definitions import first_depth, held_out_peak
from conceptdepth.depth.resampling import Resamples, accuracy
from conceptdepth.depth.uncertainty import Design, standard_error
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
    values: dict[str, Any]
    """The relative depth of the first layer above, and accuracy and excess of one that is best on other statements."""
    draws: dict[str, Values]
    """The same of each draw, shape (draws,)."""


def above_baselines(
    curve: Curve, baselines: Mapping[str, Curve], taken: Resamples, level: float, *, p_chance: Values, design: Design
) -> Above:
    """Compare a curve with the best of its baselines at each layer, on the same statements in each draw.

    ``baselines`` have one layer, or as many as the curve, and are compared layer by layer. A layer is above if its
    excess, in standard errors of the whole experiment (probes and baselines are trained on one sample, and another
    would change both), is beyond the ``level`` quantile of the largest deviation of any layer in each draw: a one-sided
    band over all layers at once by the bootstrap (single-step max T of Westfall and Young 1993, *Resampling-Based
    Multiple Testing*). With few groups the quantile is stretched as Student's t is wider than the normal distribution.
    The best of several baselines is taken on the tested statements, and so is a little too good: depths come rather
    late than early.

    What is not above chance is not above a baseline: ``p_chance``, shape (n_layers,), are p values of another test, and
    the larger p value of both counts (an intersection-union test; Berger 1982, Technometrics 24, 295-300). Where they
    are NaN, the bootstrap stands alone.
    """
    every = {MAJORITY: majority(curve), **baselines}
    best = _best(every.values()) + np.zeros_like(accuracy(curve))
    excess = accuracy(curve) - best
    drawn = accuracy(curve, taken.weights) - _best(every.values(), taken.weights)
    error = standard_error(drawn, design)
    error = np.where(error > 0, error, np.nan)  # Where all draws agree they say nothing.
    largest = _largest(drawn - excess, error) * design.scale * t.ppf(level, design.df) / norm.ppf(level)
    bound = error * (np.quantile(largest, level) if len(largest) else np.nan)
    bound = np.where(p_chance > 1 - level, np.inf, bound)
    reached = (largest[:, np.newaxis] >= excess / error).sum(axis=0)
    p_values = np.where(np.isnan(error), np.nan, np.fmax((1 + reached) / (1 + len(largest)), p_chance))
    whole = np.ones((1, len(taken.half)))
    return Above(
        name=max(every, key=lambda name: accuracy(every[name]).max()),
        accuracy=best,
        p_values=p_values,
        values=_quantities(p_values <= 1 - level, *(found[0] for found in _held_out(curve, every, whole, taken.half))),
        draws=_quantities(drawn > bound, *_held_out(curve, every, taken.weights, taken.half)),
    )


def _quantities(above: NDArray[np.bool_], held_out: Values, held_out_excess: Values) -> dict[str, Any]:
    return {
        "held_out_peak_accuracy": held_out,
        "first_above_baseline": first_depth(above),
        "held_out_peak_above_baseline": held_out_excess,
    }


def majority(curve: Curve) -> Curve:
    """Return the curve, of one layer, of always naming the larger class of the dataset."""
    larger = np.int8(curve.labels.mean() > 0.5)
    splits = tuple(Split(split.test, np.full((1, len(split.test)), larger)) for split in curve.splits)
    return Curve(curve.names, curve.labels, curve.groups, splits)


def _best(curves: Iterable[Curve], weights: Values | None = None) -> Values:
    return reduce(np.maximum, (accuracy(one, weights) for one in curves))


def _held_out(
    curve: Curve, baselines: Mapping[str, Curve], weights: Values, half: NDArray[np.bool_]
) -> tuple[Values, Values]:
    """Return accuracy and excess of a layer that is best on other statements, each of shape (draws,).

    Chosen on one half of groups and reported on the other, both ways.
    """
    parts = (weights * half, weights * ~half)
    own = [accuracy(curve, part) for part in parts]
    excess = [found - _best(baselines.values(), part) for found, part in zip(own, parts)]
    found, above = (
        (held_out_peak(own[0], reported[1]) + held_out_peak(own[1], reported[0])) / 2 for reported in (own, excess)
    )
    return found, above


def _largest(deviations: Values, error: Values) -> Values:
    """Return the largest deviation of any layer in standard errors, shape (draws,), of draws that have one."""
    in_errors = deviations[:, ~np.isnan(error)] / error[~np.isnan(error)]
    in_errors = in_errors[~np.isnan(in_errors).any(axis=1)]
    return in_errors.max(axis=1) if in_errors.size else np.empty(0)
