"""How many test statements a wanted resolution of depth takes.

The statements that were tested stand for all that could be: the bootstrap over groups draws more, or fewer, of them
than there are (as for power calculations, Efron and Tibshirani 1993, *An Introduction to the Bootstrap*, chapter 25).
The interval of a depth is as wide as it would be with so many. Probes stay those that were trained, so that what more
training statements would change is not in it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from conceptdepth.depth.definitions import describe_curve
from conceptdepth.depth.resampling import accuracy, group_weights, interval
from conceptdepth.probes.predictions import Curve

FACTORS = 2 ** np.arange(-3, 10.5, 0.5)
"""Sizes that are tried, as multiples of that of the dataset: from an eighth to 724 times."""


def interval_widths(
    curve: Curve,
    *,
    depth: Mapping[str, float],
    level: float,
    draws: int,
    seed: int,
    factors: Sequence[float] | NDArray[np.float64] = FACTORS,
) -> pd.DataFrame:
    """Return how wide the interval of each quantity is at each size, NaN where no draw has it.

    Columns are those of `conceptdepth.depth.definitions.describe_curve`; the index is test statements of a split.
    """
    n_groups, n_test = curve.group_numbers.max() + 1, np.mean([len(split.test) for split in curve.splits])
    widths = {}
    for factor in factors:
        n_drawn = max(2, round(factor * n_groups))
        drawn = accuracy(curve, group_weights(curve.groups, draws=draws, seed=seed, n_drawn=n_drawn))
        error = np.nanstd(drawn, axis=0, ddof=1)
        found = describe_curve(drawn, standard_error=error, **depth)
        bounds = {name: interval(values, level) for name, values in found.items()}
        widths[n_drawn / n_groups * n_test] = {name: float(high - low) for name, (low, high) in bounds.items()}
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
