"""Choosing rows of a frame by name, where what does not exist is answered by what does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from conceptdepth.configuration.sentences import nearest
from conceptdepth.ground.errors import UserError, one_of

MOST = 30
"""Values that are listed."""


def rows_with(table: pd.DataFrame, wanted: Mapping[str, Any], source: str) -> pd.DataFrame:
    """Return the rows that have these values, each one or several (list, array, range, set); None asks for nothing.

    Raises `UserError` for a column or a value that is not there.
    """
    for column, value in wanted.items():
        if value is None:
            continue
        if column not in table:
            raise UserError(f"{source} has no column {column!r}{nearest(column, table)}; it has {one_of(table)}.")
        values = [plain(one) for one in value] if pd.api.types.is_list_like(value) else [plain(value)]
        known = table[column].unique().tolist()
        for one in values:
            if one not in known:
                alike = [f" (it is {other!r}, not {one!r})" for other in known if str(other) == str(one)]
                instead = alike[0] if alike else nearest(one, known) if isinstance(one, str) else ""
                raise UserError(f"there is no {column} {one!r} in {source}{instead}; there are {listed(known)}.")
        table = table[table[column].isin(values)]
    return table


def only_row(table: pd.DataFrame, names: Sequence[str], source: str) -> dict[str, str]:
    """Return the names of all rows. Raises `UserError` if they have several, and says which to give, or if none is."""
    if table.empty:
        raise UserError(f"{source} has no {', '.join(names)}: there is nothing to choose from.")
    for name in names:
        if len(known := table[name].unique().tolist()) != 1:
            raise UserError(
                f"{source} has several: {name} is one of {listed(known)}; say which, as {name}={known[0]!r}."
            )
    return {name: str(table[name].iloc[0]) for name in names}


def plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python, what is listed as a list of these, and anything else as it is."""
    if pd.api.types.is_list_like(value) and not isinstance(value, Mapping):
        return [plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def listed(values: Sequence[Any]) -> str:
    """List values, the first of many."""
    return one_of(values[:MOST]) + (f" and {len(values) - MOST} more" if len(values) > MOST else "")
