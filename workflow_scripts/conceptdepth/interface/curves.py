"""Curves of scores over layers: means over splits, with the intervals that the run has."""

import pandas as pd

from conceptdepth.ground.names import CURVE, EMBEDDING, SCORED
from conceptdepth.interface.tables import as_names
from conceptdepth.pages.explorer import present

BOUNDS = ["low", "high", "standard_error"]


def mean_curves(scores: pd.DataFrame, intervals: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a row for each curve and layer of ``layer_scores``, in its order.

    Columns: names, ``layer``, ``n_layers``, ``depth`` (layer / n_layers), the mean of each score that is not missing
    everywhere, and ``low``, ``high`` and ``standard_error`` of accuracy from ``layer_intervals`` if it is given. The
    embedding, which lies before the layers, has one row and no depth.
    """
    own = as_text(scores)
    keys = [name for name in (*SCORED, "layer", "n_layers") if name in own]
    means = own.groupby(keys, sort=False)[present(own)].mean().reset_index()
    means.insert(len(keys), "depth", (means["layer"] / means["n_layers"]).where(means["site"] != EMBEDDING))
    if intervals is not None:
        means = means.merge(as_text(intervals)[[*CURVE, "layer", *BOUNDS]], on=[*CURVE, "layer"], how="left")
    return as_names(means)


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with names as text: categories of two tables are no keys of both."""
    return table.astype({name: "str" for name in SCORED if name in table})
