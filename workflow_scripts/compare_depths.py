"""Compare weight formats and perturbations on the same statements: what each changes of accuracy and depth."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import pandas as pd
from conceptdepth.depth.estimates import IntervalSettings
from conceptdepth.depth.pairs import pairs
from conceptdepth.depth.resampling import Values, adjusted, interval
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CURVE
from conceptdepth.provenance.job import job, log

COMPARED = ("quantization", "perturbation")
"""Columns of whose values the first of the run is compared with each other one."""

COLUMNS = [*CURVE, "compared", "first", "second", "quantity", "difference", "low", "high", "defined", "p", "p_adjusted"]


def compare_depths(file: h5py.File, *, order: Mapping[str, Sequence[str]], settings: IntervalSettings) -> pd.DataFrame:
    """Return a row for each quantity of each pair of curves that differ in one of `COMPARED` only.

    ``file`` is ``results/depth/draws.h5``, ``order`` has the values of each column in the order of the run.
    """
    curves = list(_curves(file))
    names = [dict(curve.attrs) for curve in curves]
    rows = [
        {**names[second], "compared": column, "first": order[column][0], "second": names[second][column], **row}
        for column in COMPARED
        for first, second in pairs(names, column, order[column][0])
        for row in differences(curves[first], curves[second], settings.level)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(p_adjusted=adjusted(table["p"], settings.correction))


def _curves(file: h5py.File) -> Iterator[h5py.Group]:
    for item in file.values():
        if "model" in item.attrs:
            yield item
        else:
            yield from _curves(item)


def differences(first: h5py.Group, second: h5py.Group, level: float) -> Iterator[dict[str, Any]]:
    """Yield, for each quantity, second minus first, its interval, and a p value of "there is no difference".

    Draws are paired: both curves of a draw are of the same statements.
    """
    for quantity in first:
        difference = second[quantity].attrs["value"] - first[quantity].attrs["value"]
        draws = second[quantity][:] - first[quantity][:]
        low, high = interval(draws, level)
        yield {
            "quantity": quantity,
            "difference": difference,
            "low": low,
            "high": high,
            "defined": 1 - np.isnan(draws).mean() if len(draws) else np.nan,
            "p": p_no_difference(draws) if np.isfinite(difference) else np.nan,
        }


def p_no_difference(draws: Values) -> float:
    """Return twice the share of draws on the rarer side of zero, zero included; NaN without draws."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return np.nan
    rarer = min((known <= 0).sum(), (known >= 0).sum())
    return min(1.0, 2 * (1 + rarer) / (1 + len(known)))


if __name__ == "__main__":
    with job(snakemake):
        settings = IntervalSettings(**snakemake.params.intervals)
        with h5py.File(snakemake.input.draws) as file:
            table = compare_depths(file, order=snakemake.params.order, settings=settings)
        with complete_file(snakemake.output.differences) as part:
            table.to_csv(part, index=False, na_rep="NaN")
        log.info("%d comparisons, %d differ", len(table), (table["p_adjusted"] <= 1 - settings.level).sum())
