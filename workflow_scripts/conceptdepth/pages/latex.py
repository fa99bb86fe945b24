"""The main results as tables for papers: LaTeX with the package ``booktabs``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from conceptdepth.figures.words import word
from conceptdepth.ground.names import CELL, CONTROL_FORMATS, PROBED
from conceptdepth.ground.tables import at_first
from conceptdepth.pages.findings import is_above, percent, with_interval
from conceptdepth.pages.names import Names

if TYPE_CHECKING:
    import pandas as pd

HEAD = r"% Needs \usepackage{booktabs}, {longtable} and [T1]{fontenc}. Numbers: results/tables/concept_depth.csv"

ESTIMATES = {
    "held_out_peak_accuracy": "held-out peak",
    "held_out_peak_above_baseline": "above baseline",
    "first_above_baseline": "first layer above",
    "gain_centre": "centre of gain",
}
"""Columns of the first table; depths among them are of curves above their baselines only."""

POINTS = {
    "jump_point": "jump",
    "converging_point": "converging",
    "converging_point_published": "as published",
    "peak_accuracy": "peak",
    "peak_depth": "depth of peak",
}
"""Columns of the second one, the paper's points, none of which has an interval."""

OF_EVERY_CURVE = ("held_out_peak_accuracy", "held_out_peak_above_baseline", "peak_accuracy")

NONE = "--"


def latex_tables(depths: "pd.DataFrame", names: Names, level: float) -> str:
    """Return two tables with a row for each cell, at the first site, position and probe of the run."""
    rows = at_first(depths[~depths["quantization"].isin(CONTROL_FORMATS)], PROBED)
    held = f"{percent(level)} intervals in brackets; a depth is a share of the layers; --: not above its baselines."
    at = ", ".join(word(name) for name in rows[list(PROBED)].iloc[0])
    return "\n".join([
        HEAD,
        _latex(rows, ESTIMATES, names, caption=f"Main results ({at}). {held}", label="tab:conceptdepth-main"),
        _latex(
            rows, POINTS, names, label="tab:conceptdepth-points",
            caption="The points of Jin et al. (arXiv 2404.07066), counted from 0; those as published from 1, and one "
            f"layer further. None has an interval ({at}).",
        ),
    ])  # fmt: skip


def _latex(rows: "pd.DataFrame", columns: Mapping[str, str], names: Names, *, caption: str, label: str) -> str:
    """Return a table with the names of cells and some quantities. Whatever LaTeX could read as a command is escaped."""
    shown = rows[list(CELL)].assign(
        model=rows["model"].map(dict(names.models)),
        quantization=rows["quantization"].map(word),
        dataset=rows["dataset"].map(dict(names.datasets)),
        perturbation=rows["perturbation"].map(word),
    )
    for quantity in columns:
        shown[quantity] = [_cell(row, quantity) for row in rows.to_dict("records")]
    shown = shown.rename(columns={"quantization": "format", "perturbation": "rendering", **columns})
    texts = list(shown.columns[: len(CELL)])  # Numbers are ours, and their signs are LaTeX already.
    style = shown.style.hide(axis="index").format(escape="latex", subset=texts).format_index(escape="latex", axis=1)
    form = "l" * len(CELL) + "r" * len(columns)
    return style.to_latex(
        environment="longtable", hrules=True, column_format=form, caption=caption.replace("%", r"\%"), label=label
    )


def _cell(row: Mapping[str, object], quantity: str) -> str:
    if row[quantity] != row[quantity] or not (quantity in OF_EVERY_CURVE or is_above(row)):
        return NONE
    return with_interval(row, quantity).replace("-", "$-$")
