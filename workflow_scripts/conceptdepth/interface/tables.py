"""The tables of a run as frames of pandas with the type of each column, whatever stands in it."""

from pathlib import Path
from typing import Any

import pandas as pd

from conceptdepth.ground.errors import explained
from conceptdepth.ground.names import SCORED

NAMES = frozenset([
    *SCORED, "baseline", "check", "claim", "compare", "compared", "domain", "expected", "experiment", "factor", "first",
    "from", "highest", "lowest", "method", "of", "partial_out", "published_dataset", "published_model", "quantity",
    "same_tokens_as", "second", "source", "switch", "than", "to", "transferred", "verdict", "weights",
])  # fmt: skip
"""Columns of names: categories, in the order in which they first stand in the table, which is that of the run."""

NOT_ALWAYS = frozenset(("baseline", "expected", "highest", "lowest", "of", "than"))
"""Columns of names that some rows have not."""

TEXTS = frozenset(("id", "finding", "statement"))
"""Columns of text."""

COUNTS = frozenset([
    "iterations", "layer", "layer_of_vectors", "n", "n_datasets", "n_layers", "n_layers_changed",
    "n_models", "n_random", "n_seeds", "n_statements", "n_test", "n_train", "repetitions", "seed",
])  # fmt: skip
"""Columns of whole numbers: ``int64``."""

COUNTS_IF_ANY = frozenset(("distinct_levels", "levels", "n_curves", "n_without", "pairs"))
"""Columns of whole numbers that some rows have not: ``Int64``, with `pandas.NA`."""

YES_OR_NO = ("above_baselines", "has_effect", "mostly_converged")
"""Ends of the names of columns of True and False: ``boolean``, with `pandas.NA` where it was not tested."""

OF_ONE_TABLE = {"layer_scores": {"converged": "boolean"}, "transfer": {"n_test": "float64"}}
"""Types of columns that are something else in other tables, by table."""


def type_of(table: str, column: str) -> str | None:
    """Return the type of a column, None if all that is known is that it is none of the above."""
    if column in OF_ONE_TABLE.get(table, {}):
        return OF_ONE_TABLE[table][column]
    kinds = {"category": NAMES, "str": TEXTS, "int64": COUNTS, "Int64": COUNTS_IF_ANY}
    kind = next((kind for kind, names in kinds.items() if column in names), None)
    return "boolean" if column.endswith(YES_OR_NO) else kind


def read_table(path: str | Path) -> pd.DataFrame:
    """Return a table of a run. Numbers are those that were written, to the last digit; raises `UserError` if damaged.

    What has no type above is ``float64``, with NaN where there is no number. A dataset named ``NA`` is one.
    """
    with explained(f"{path} is damaged; delete it and run again"):
        columns = pd.read_csv(path, nrows=0).columns
        kinds = {name: type_of(Path(path).stem, name) for name in columns}
        missing: Any = {name: ["", "NaN"] for name in columns if name in NOT_ALWAYS or name not in NAMES | TEXTS}
        table = pd.read_csv(
            path,
            dtype={name: "str" if kind == "category" else kind for name, kind in kinds.items() if kind},
            keep_default_na=False,
            na_values=missing,
            float_precision="round_trip",
        )
    whole = [name for name, kind in kinds.items() if kind is None and table[name].dtype.kind == "i"]
    return as_names(table.astype(dict.fromkeys(whole, "float64")))


def as_names(table: pd.DataFrame) -> pd.DataFrame:
    """Make categories of the columns that are names, in the order in which they first stand there."""
    names = [name for name in table.columns if name in NAMES]
    return table.astype({name: pd.CategoricalDtype(table[name].dropna().astype(str).unique()) for name in names})
