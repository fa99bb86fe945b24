"""Claims about depths as assertions over tables: supported, contradicted or undecided.

A claim says how a quantity compares between cells ``of`` one value of a column and those ``than`` another, alike in all
else: `conceptdepth.depth.effects` says how far they differ and how sure that is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from conceptdepth.depth.comparison import ACCURACIES
from conceptdepth.depth.effects import DOMAIN, FEWEST_DATASETS, FEWEST_MODELS, FEWEST_OF_A_DOMAIN, Effect

EQUAL = "equal"
"""What a claim says of a difference smaller than a margin."""

EXPECTED = ("higher", "lower", EQUAL)
"""What a claim can say of the first of two."""

OF_USE = ("causal_onset", "readout_gap", "effect_where_readable", "lens_depth", "lens_gap", "transfer")
"""Quantities of what models use, say and share between datasets, which `check_use` finds."""


@dataclass(frozen=True)
class Claim:
    """One entry of the section ``claims``, of one of its quantities."""

    statement: str
    """In words."""
    quantity: str
    """A column of ``concept_depth.csv``, or of the table of what is used."""
    compare: str
    """``domain``, ``size``, ``quantization`` or ``perturbation``; ``zero`` compares with nothing."""
    expected: str
    """One of `EXPECTED`."""
    of: str = "larger"
    """The value whose cells are said to be so."""
    than: str = "smaller"
    """The value that they are compared with."""
    margin: float = 0.0
    """Smallest difference that counts as one, for `EQUAL`."""

    @property
    def is_of_depth(self) -> bool:
        """Whether it speaks of a depth, which only cells above their baselines have."""
        return self.quantity not in ACCURACIES


def as_claims(section: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Claim]]:
    """Yield the claims of a configuration with their names, one for each quantity."""
    for name, entry in section.items():
        others = {key: value for key, value in entry.items() if key != "quantities"}
        for quantity in entry["quantities"]:
            yield name, Claim(quantity=quantity, **others)


def p_of(claim: Claim, effect: Effect) -> float:
    """Return the p value that decides: of "no difference", for `EQUAL` of "a difference of the margin or more"."""
    return effect.p_of_more(claim.margin) if claim.expected == EQUAL else effect.p_of_none()


def verdict(claim: Claim, effect: Effect, p_adjusted: float, *, level: float, n_claims: int) -> str:
    """Return supported, contradicted or undecided.

    A claim of a direction is decided by the sign of the difference, if that is significant after adjustment for the
    number of claims. A claim of equality is supported if a difference of the margin or more is excluded, and
    contradicted if the whole interval is beyond the margin, widened for the number of claims (Bonferroni).
    """
    found = p_adjusted <= 1 - level
    if claim.expected == EQUAL:
        low, high = effect.interval(1 - (1 - level) / n_claims)
        beyond = low > claim.margin or high < -claim.margin
        return "supported" if found else "contradicted" if beyond else "undecided"
    if not found:
        return "undecided"
    return "supported" if (effect.effect > 0) == (claim.expected == "higher") else "contradicted"


def sentences(table: pd.DataFrame, level: float) -> Iterator[str]:
    """Yield ``claims.csv`` in words: each statement, and a line for each quantity that it is held against."""
    for (source, statement), rows in table.groupby(["source", "statement"], sort=False):
        yield f"{source}: {statement}"
        for row in rows.to_dict("records"):
            numbers = without_test(row)
            if np.isfinite(row["p_adjusted"]):
                numbers = (
                    f"{row['effect']:+.3f}, {level:.0%} interval {row['low']:+.3f} to {row['high']:+.3f}, adjusted p "
                    f"{row['p_adjusted']:.2g}, {_counted(row)}"
                )
            yield f"  {row['verdict'].upper():<12}  {row['quantity']}: {numbers}"


def without_test(row: Mapping[str, Any]) -> str:
    """Return why a row of ``claims.csv`` has no p value."""
    if not row["n_datasets"]:
        selected = row["source"] == "run" and row["quantity"] not in ACCURACIES
        return "no such cells" + (" above their baselines" if selected else "")
    needed = FEWEST_OF_A_DOMAIN if row["compare"] == DOMAIN else FEWEST_DATASETS
    if row["n_datasets"] < needed or row["n_models"] < FEWEST_MODELS:
        return f"too few: {_counted(row)}, where {needed} and {FEWEST_MODELS} are needed"
    return f"nothing varies, which says nothing, {_counted(row)}"


def _counted(row: Mapping[str, Any]) -> str:
    n_datasets, n_models = row["n_datasets"], row["n_models"]
    a_side = " a side" if row["compare"] == DOMAIN else ""
    datasets, models = ("" if n == 1 else "s" for n in (n_datasets, n_models))
    return f"{n_datasets} dataset{datasets}{a_side}, {n_models} model{models}"
