"""Differences of two curves on the same statements: weight formats, perturbations."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conceptdepth.depth.uncertainty import Design, p_of_none, standard_error, t_interval

Values = NDArray[np.float64]

PRIMARY = ("mean_accuracy", "held_out_peak_accuracy", "gain_centre")
"""Quantities whose differences are tested, each a family of its own; differences of the others are described."""

ACCURACIES = ("mean_accuracy", "peak_accuracy", "held_out_peak_accuracy", "held_out_peak_above_baseline")
"""Quantities that every curve has; the others are depths, which only curves above their baselines have."""


@dataclass(frozen=True)
class Difference:
    """Second minus first."""

    difference: float
    low: float
    high: float
    """Bounds of its interval."""
    p: float
    """Two-sided p value of "no difference"; NaN without variance, which says nothing."""


def compare(first: float, second: float, draws: Values, design: Design, level: float) -> Difference:
    """Return the difference of two values; ``draws`` are those of the second minus those of the first, (n_draws,).

    Draws are paired: both curves of a draw are of the same statements. Interval and p value are Student's, with the
    standard error of the whole experiment, so that the number of draws sets no floor to p values.
    """
    difference, error = second - first, float(standard_error(draws, design))
    low, high = t_interval(difference, error, design.df, level, within=(-1.0, 1.0))
    return Difference(difference, float(low), float(high), p_of_none(difference, error, design.df))
