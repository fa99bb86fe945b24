"""Claims about depths as assertions over tables: supported, contradicted or undecided.

A claim says how a quantity compares between cells ``of`` one value of a column and those with another. Cells that are
alike in all else are paired, and their differences averaged for each dataset: datasets are what a claim is about, and
models that read the same dataset are no independent witnesses. A t test over datasets then gives effect, interval and p
value. Domains are compared between datasets (Welch's t test), as a dataset has one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from conceptdepth.ground.names import CELL

EXPECTED = ("higher", "lower", "equal")
"""What a claim can say of the first of two."""

SIZE = "size"
"""Compares each model with the next smaller one of its family."""

DOMAIN = "domain"
"""Compares datasets of two domains."""


@dataclass(frozen=True)
class Claim:
    """One entry of the section ``claims``."""

    statement: str
    """In words."""
    quantity: str
    """A column of ``concept_depth.csv``."""
    compare: str
    """``domain``, ``size``, ``quantization`` or ``perturbation``."""
    expected: str
    """One of `EXPECTED`."""
    of: str = "larger"
    """The value whose cells are said to be higher, lower or equal."""
    than: str = "smaller"
    """The value that they are compared with."""
    margin: float = 0.0
    """Largest difference that counts as none, for ``equal``."""


@dataclass(frozen=True)
class Effect:
    """How two kinds of cells differ."""

    n_datasets: int
    """Datasets that have cells of both kinds, or of either for domains."""
    effect: float
    """Mean difference, NaN without a dataset."""
    low: float
    high: float
    """Interval of the difference, NaN where the test has no degree of freedom."""
    p: float
    """Two-sided p value of "no difference"."""


def effect_of(table: pd.DataFrame, claim: Claim, *, level: float) -> Effect:
    """Return how cells differ; those without the quantity are left out.

    ``table`` has a row for each cell: `Claim.quantity`, dataset, domain, model, family, parameters, quantization and
    perturbation.
    """
    known = table[table[claim.quantity].notna()]
    if claim.compare == DOMAIN:
        means = known.groupby(["dataset", "domain"])[claim.quantity].mean().reset_index(DOMAIN)
        first, second = (means.loc[means[DOMAIN] == value, claim.quantity] for value in (claim.of, claim.than))
        if min(len(first), len(second)) < 2:
            return Effect(len(first) + len(second), np.nan, np.nan, np.nan, np.nan)
        result = stats.ttest_ind(first, second, equal_var=False)
        return _effect(result, len(first) + len(second), first.mean() - second.mean(), level)
    of_datasets = paired(known, claim).groupby("dataset")["difference"].mean()
    if len(of_datasets) < 2 or np.ptp(of_datasets) == 0:
        return Effect(len(of_datasets), of_datasets.mean(), np.nan, np.nan, np.nan)
    return _effect(stats.ttest_1samp(of_datasets, 0), len(of_datasets), of_datasets.mean(), level)


def _effect(result: Any, n_datasets: int, mean: float, level: float) -> Effect:
    bounds = result.confidence_interval(level)
    return Effect(n_datasets, float(mean), float(bounds.low), float(bounds.high), float(result.pvalue))


def paired(table: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """Return ``dataset`` and ``difference`` for each pair of cells that are alike but for what is compared."""
    others = [name for name in CELL if name not in ("model", "dataset", claim.compare)]
    if claim.compare == SIZE:
        alike = ["family", "dataset", *others]
        ordered = table.sort_values("parameters")
        return ordered.assign(difference=ordered.groupby(alike)[claim.quantity].diff()).dropna(subset="difference")
    alike = ["model", "dataset", *others]
    first, second = (
        table[table[claim.compare] == value].set_index(alike)[claim.quantity] for value in (claim.of, claim.than)
    )
    return (first - second).dropna().rename("difference").reset_index()


def verdict(claim: Claim, effect: Effect, p_adjusted: float, *, level: float) -> str:
    """Return supported, contradicted or undecided.

    A claim of a direction is decided by the sign of the difference, if that is significant after adjustment for the
    number of claims. A claim of equality is supported if the whole interval is within the margin, and contradicted if
    the difference is significant and beyond the margin.
    """
    there = p_adjusted <= 1 - level
    if claim.expected == "equal":
        if max(abs(effect.low), abs(effect.high)) <= claim.margin:
            return "supported"
        return "contradicted" if there and abs(effect.effect) > claim.margin else "undecided"
    if not there:
        return "undecided"
    return "supported" if (effect.effect > 0) == (claim.expected == "higher") else "contradicted"


def sentences(table: pd.DataFrame, level: float) -> Iterator[str]:
    """Yield each row of ``claims.csv`` in words."""
    for row in table.to_dict("records"):
        numbers = f"{row['n_datasets']} datasets are too few" if row["n_datasets"] else "no such cells"
        if np.isfinite(row["p_adjusted"]):
            numbers = (
                f"{row['quantity']} {row['effect']:+.3f}, {level:.0%} interval {row['low']:+.3f} to {row['high']:+.3f}"
                f", adjusted p {row['p_adjusted']:.2g}, {row['n_datasets']} datasets"
            )
        yield f"{row['source']}: {row['statement']} {row['verdict'].upper()} ({numbers})"


def as_claims(section: Mapping[str, Mapping[str, Any]]) -> dict[str, Claim]:
    """Return the claims of a configuration by name."""
    return {name: Claim(**entry) for name, entry in section.items()}
