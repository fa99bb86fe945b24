"""Compare weight formats and perturbations on the same statements: what each changes of accuracy and depth."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import h5py
import pandas as pd
from conceptdepth.depth.comparison import ACCURACIES, PRIMARY, compare
from conceptdepth.depth.draws import curves, design, open_draws
from conceptdepth.depth.pairs import pairs
from conceptdepth.depth.resampling import IntervalSettings
from conceptdepth.depth.uncertainty import adjusted
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CURVE
from conceptdepth.provenance.job import job, log

COMPARED = ("quantization", "perturbation")
"""Columns of whose values the first of the run is compared with each other one."""

COLUMNS = [*CURVE, "compared", "first", "second", "quantity", "difference", "low", "high", "p", "p_adjusted"]


def compare_depths(file: h5py.File, *, order: Mapping[str, Sequence[str]], settings: IntervalSettings) -> pd.DataFrame:
    """Return a row for each quantity of each pair of curves that differ in one of `COMPARED` only.

    ``file`` is ``results/depth/draws.h5``, ``order`` has the values of each column in the order of the run. P values
    are adjusted for the comparisons of one quantity; two of the same tokens count once.
    """
    groups = list(curves(file))
    names = [{name: curve.attrs[name] for name in CURVE} for curve in groups]
    rows = [
        {**names[second], "compared": column, "first": order[column][0], "second": names[second][column], **row}
        for column in COMPARED
        for first, second in pairs(names, column, order[column][0])
        for row in differences(groups[first], groups[second], settings.level)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    tokens = {tuple(own.values()): curve.attrs["same_tokens_as"] for own, curve in zip(names, groups)}
    tests = [test_of(row, tokens) for row in rows]
    for _, of_quantity in table.groupby("quantity"):
        own = [tests[number] for number in of_quantity.index]
        table.loc[of_quantity.index, "p_adjusted"] = adjusted(of_quantity["p"], settings.correction, own)
    return table


def test_of(row: Mapping[str, Any], tokens: Mapping[tuple[str, ...], str]) -> tuple[str, ...]:
    """Return which comparison a row is, whatever its curves are called; ``tokens`` are by `CURVE`."""
    both = [tuple((row | {row["compared"]: row[which]})[name] for name in CURVE) for which in ("first", "second")]
    alike = (row[name] for name in CURVE if name != "position")
    return (row["compared"], *alike, *(tokens[curve] for curve in both))


def differences(first: h5py.Group, second: h5py.Group, level: float) -> Iterator[dict[str, Any]]:
    """Yield second minus first of each quantity, with interval and p value of `PRIMARY` ones.

    Two curves differ in depth only if both have one: if both are above their baselines.
    """
    have_depths = first.attrs["above"] and second.attrs["above"]
    for quantity in first:
        before, after = first[quantity], second[quantity]
        row = {"quantity": quantity, "difference": after.attrs["value"] - before.attrs["value"]}
        if quantity in PRIMARY and (have_depths or quantity in ACCURACIES):
            draws = after[:] - before[:]
            row |= asdict(compare(before.attrs["value"], after.attrs["value"], draws, design(first), level))
        yield row


if __name__ == "__main__":
    with job(snakemake):
        settings = IntervalSettings(**snakemake.params.intervals)
        with open_draws(snakemake.input.draws) as file:
            table = compare_depths(file, order=snakemake.params.order, settings=settings)
        with complete_file(snakemake.output.differences) as part:
            table.to_csv(part, index=False, na_rep="NaN")
        differ = (table["p_adjusted"] <= 1 - settings.level).sum()
        log.info("%d comparisons, %d tests, %d differ", len(table), table["p"].notna().sum(), differ)
