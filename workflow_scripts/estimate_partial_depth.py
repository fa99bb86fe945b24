"""Find the depths of every cell once more from features without nuisances, and put them beside those of the concept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import h5py
import numpy as np
import pandas as pd
from conceptdepth.depth.cells import depth_table, estimate_all, tests_of
from conceptdepth.depth.comparison import ACCURACIES, PRIMARY, compare
from conceptdepth.depth.draws import design, open_draws
from conceptdepth.depth.estimates import Estimate
from conceptdepth.depth.resampling import IntervalSettings
from conceptdepth.depth.uncertainty import adjusted
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CURVE, PARTIAL_OUT
from conceptdepth.provenance.job import job, log

TESTED = ("above_baselines", "p_above_chance_adjusted", "p_above_baseline_adjusted")
"""Columns of ``concept_depth.csv`` that say of a curve whether it has a depth."""

BOUNDS = ("low", "high")


def partial_table(
    estimates: Sequence[Estimate],
    raw: pd.DataFrame,
    file: h5py.File,
    *,
    partial_out: Sequence[str],
    settings: IntervalSettings,
) -> pd.DataFrame:
    """Return a row for each quantity of each curve: of the concept, without nuisances, and the second minus the first.

    ``estimates`` are those without nuisances, ``raw`` is ``concept_depth.csv`` and ``file`` ``results/depth/draws.h5``.
    Draws are paired. P values are adjusted for the curves of one quantity; one with two names counts once.
    """
    names = list(CURVE)
    without = depth_table(estimates, settings)
    before = raw.set_index(names).loc[pd.MultiIndex.from_frame(without[names])].reset_index()
    rows = [
        {**found.names, "partial_out": " ".join(partial_out), **told(first, "raw_"), **told(second, "partial_"), **row}
        for found, first, second in zip(estimates, before.to_dict("records"), without.to_dict("records"))
        for row in quantities(found, first, second, file["/".join(found.names.values())], settings.level)
    ]
    table = pd.DataFrame(rows)
    tests = dict(zip(without[names].itertuples(index=False, name=None), tests_of(without)))
    for _, of_quantity in table.groupby("quantity"):
        own = [tests[curve] for curve in of_quantity[names].itertuples(index=False, name=None)]
        table.loc[of_quantity.index, "p_adjusted"] = adjusted(of_quantity["p"], settings.correction, own)
    return table


def told(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return what a row of depths says of whether there is one, under another name."""
    return {prefix + name: row[name] for name in TESTED}


def quantities(
    found: Estimate, first: Mapping[str, Any], second: Mapping[str, Any], curve: h5py.Group, level: float
) -> list[dict[str, Any]]:
    """Return the row of each quantity; the difference of `PRIMARY` ones has an interval and a p value.

    Two curves differ in depth only if both have one: if both are above their baselines.
    """
    have_depths = all(depths["above_baselines"] == 1 for depths in (first, second))  # NaN, if not tested, is not.
    rows = []
    for quantity, value in found.values.items():
        own = curve[quantity]
        row = {"quantity": quantity}
        for kind, depths in (("raw", first), ("partial", second)):
            row[kind] = depths[quantity]
            row |= {f"{kind}_{one}": depths.get(f"{quantity}_{one}", np.nan) for one in BOUNDS}
        row |= {"difference": value - own.attrs["value"], "low": np.nan, "high": np.nan, "p": np.nan}
        if quantity in PRIMARY and (have_depths or quantity in ACCURACIES):
            draws = found.draws[quantity] - own[:]
            row |= asdict(compare(own.attrs["value"], value, draws, design(curve), level))
        rows.append(row)
    return rows


if __name__ == "__main__":
    with job(snakemake):
        settings = IntervalSettings(**snakemake.params.intervals)
        estimates = estimate_all(
            snakemake.input.probes,
            snakemake.input.baselines,
            depth=snakemake.params.depth,
            settings=settings,
            target=PARTIAL_OUT,
        )
        raw = pd.read_csv(snakemake.input.depths, dtype=dict.fromkeys(CURVE, str))
        with open_draws(snakemake.input.draws) as file:
            chosen = snakemake.params.controls["partial_out"]
            table = partial_table(estimates, raw, file, partial_out=chosen, settings=settings)
        with complete_file(snakemake.output.partial) as part:
            table.to_csv(part, index=False, na_rep="NaN")
        curves = table.drop_duplicates(list(CURVE))
        before, after = (curves[f"{kind}_above_baselines"].eq(True).sum() for kind in ("raw", "partial"))
        words = ", ".join(snakemake.params.controls["partial_out"])
        log.info("%d curves: %d above their baselines, %d without %s", len(curves), before, after, words)
