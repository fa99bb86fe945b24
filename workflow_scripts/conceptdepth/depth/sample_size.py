"""How many test statements a wanted resolution of depth takes.

The statements that were tested stand for all that could be: the bootstrap over groups draws more, or fewer, of them
than there are (as for power calculations, Efron and Tibshirani 1993, *An Introduction to the Bootstrap*, chapter 25).
The interval of a quantity is as wide as it would be with so many. Probes stay those that were trained, so that a curve
that more training statements would change stays as it is.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from conceptdepth.depth.definitions import gain_centre
from conceptdepth.depth.quantities import Quantity
from conceptdepth.depth.resampling import accuracy, group_weights
from conceptdepth.depth.uncertainty import design_of, standard_error
from conceptdepth.probes.predictions import Curve

FACTORS = 2 ** np.arange(-3, 10.5, 0.5)
"""Sizes that are tried, as multiples of that of the dataset: from an eighth to 724 times."""


def interval_widths(
    curve: Curve,
    *,
    level: float,
    draws: int,
    seed: int,
    factors: Sequence[float] | NDArray[np.float64] = FACTORS,
) -> pd.DataFrame:
    """Return how wide the interval of each quantity is at each size, NaN where no draw has it.

    Columns are those of `Quantity`; the index is test statements of a split. They are the intervals of Student's t.
    """
    n_groups, n_test = curve.group_numbers.max() + 1, np.mean([len(split.test) for split in curve.splits])
    design = design_of(curve)
    widths = {}
    for factor in factors:
        n_drawn = max(2, round(factor * n_groups))
        drawn = accuracy(curve, group_weights(curve.groups, draws=draws, seed=seed, n_drawn=n_drawn))
        found = {Quantity.GAIN_CENTRE: gain_centre(drawn), Quantity.MEAN_ACCURACY: drawn.mean(axis=1)}
        both_sides = 2 * stats.t.ppf((1 + level) / 2, max(1, factor * design.n_groups - 1))
        size = n_drawn / n_groups * n_test
        widths[size] = {name: float(both_sides * standard_error(values, design)) for name, values in found.items()}
    return pd.DataFrame.from_dict(widths, orient="index")


def needed(widths: pd.Series, resolution: float) -> float:
    """Return the fewest test statements from which on intervals are at most as wide as wanted.

    Between two sizes that were tried it is interpolated on logarithmic scales. Infinite if the largest that was tried
    does not suffice, the smallest if all do.
    """
    wide = ~(widths.to_numpy() <= resolution)
    if not wide.any():
        return float(widths.index[0])
    last = int(np.flatnonzero(wide)[-1])
    if last == len(widths) - 1:
        return float("inf")
    sizes, found = widths.index.to_numpy()[last : last + 2], widths.to_numpy()[last : last + 2]
    if not (np.isfinite(found).all() and found[1] > 0):
        return float(sizes[1])
    share = np.log(found[0] / resolution) / np.log(found[0] / found[1])
    return float(sizes[0] * (sizes[1] / sizes[0]) ** share)
