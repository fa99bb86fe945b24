"""Claims held against tables of cells: what of each quantity speaks for them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import h5py
import pandas as pd

from conceptdepth.depth.claims import Claim, p_of, verdict
from conceptdepth.depth.draws import moved
from conceptdepth.depth.effects import Effect, effect_of
from conceptdepth.depth.uncertainty import adjusted
from conceptdepth.ground.names import CONTROL_FORMATS, PROBED
from conceptdepth.ground.tables import at_first

COLUMNS = [
    "source",
    "claim",
    *(field.name for field in fields(Claim)),
    *(field.name for field in fields(Effect)),
    "low",
    "high",
    "p",
]


def of_run(depths: pd.DataFrame, kinds: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the cells of a run at the first of all that it probed, with family and size of models, and domains.

    That is its first site, position and probe. Without controls, of which no claim speaks.
    """
    table = at_first(depths[~depths["quantization"].isin(CONTROL_FORMATS)], PROBED)
    models = pd.DataFrame.from_dict(kinds["models"], orient="index", columns=["family", "parameters"])
    return table.join(models, on="model").assign(domain=table["dataset"].map(kinds["domains"]))


def effect_on(table: pd.DataFrame, claim: Claim, draws: h5py.File | None) -> Effect:
    """Return the effect that a claim speaks of, from the cells that have its quantity."""
    cells = table[table[claim.quantity].notna() & (table["above_baselines"].eq(True) | (not claim.is_of_depth))]
    values = cells[[claim.quantity]] if draws is None else moved(draws, cells, claim.quantity)
    return effect_of(cells, values, compare=claim.compare, of=claim.of, than=claim.than)


def check_claims(
    source: str,
    table: pd.DataFrame,
    claims: Sequence[tuple[str, Claim]],
    *,
    level: float,
    correction: str,
    draws: h5py.File | None = None,
) -> pd.DataFrame:
    """Return a row for each claim and each quantity that the table has.

    P values are adjusted for the number of claims about a quantity.
    """
    claims = [(name, claim) for name, claim in claims if claim.quantity in table]
    effects = [effect_on(table, claim, draws) for _, claim in claims]
    rows = []
    for (name, claim), effect in zip(claims, effects):
        low, high = effect.interval(level)
        found = {**asdict(effect), "low": low, "high": high, "p": p_of(claim, effect)}
        rows.append({"source": source, "claim": name, **asdict(claim), **found})
    checked = pd.DataFrame(rows, columns=COLUMNS)
    of_quantity = checked.groupby("quantity")["p"]
    p_adjusted = of_quantity.transform(lambda values: adjusted(values, correction)).astype(float)
    verdicts = [
        verdict(claim, effect, p, level=level, n_claims=n)
        for (_, claim), effect, p, n in zip(claims, effects, p_adjusted, of_quantity.transform("size"))
    ]
    return checked.assign(p_adjusted=p_adjusted, verdict=verdicts)
