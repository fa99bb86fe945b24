"""What is done with tables of any stage."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def at_first(table: "pd.DataFrame", columns: Sequence[str]) -> "pd.DataFrame":
    """Keep the rows with the first value of each column."""
    for column in columns:
        table = table[table[column] == table[column].iloc[0]]
    return table
