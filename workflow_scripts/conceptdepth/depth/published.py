"""The numbers that the paper's authors published, beside those of a run.

They lie in ``resources/published/``; its README says what they are. A registry entry names its counterpart there
with the key ``published``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

QUANTIZATION = "fp32"
"""Weights that the numbers are compared with: the default of the released code (the site does not say)."""

PERTURBATION = "clean"
"""Texts as they are, what the site shows as far as is known."""

SITE = "mlp_input"
"""Where the released code reads."""

POSITION = "last"
"""At which token: the last one of the prompt."""

PROBE = "logistic_regression"
"""What it trains."""

PublishedCells = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""What `conceptdepth.configuration.settings.published_cells` returns."""


def with_published_names(table: "pd.DataFrame", cells: PublishedCells) -> "pd.DataFrame":
    """Return the rows of a table that belong to published cells, with ``published_model`` and ``published_dataset``.

    ``table`` is ``layer_scores.csv``, whose controls are left out, or ``concept_depth.csv``, or a part of it.
    """
    if "target" in table:
        table = table[table["target"] == "concept"]
    models, datasets = (
        {name: entry["published"] for name, entry in cells[key].items()} for key in ("models", "datasets")
    )
    rows = table[
        (table["quantization"] == QUANTIZATION)
        & (table["site"] == SITE)
        & (table["position"] == POSITION)
        & (table["probe"] == PROBE)
        & table["perturbation"].isin(list(cells["perturbations"]))
        & table["model"].isin(list(models))
        & table["dataset"].isin(list(datasets))
    ]
    return rows.assign(published_model=rows["model"].map(models), published_dataset=rows["dataset"].map(datasets))


def published_curves(scores: "pd.DataFrame", cells: PublishedCells, curves: "pd.DataFrame") -> "pd.DataFrame":
    """Return the published curves of the cells in ``scores``: ``model, dataset, layer, n_layers, accuracy``.

    ``scores`` is a part of ``layer_scores.csv``, ``curves`` is ``site_curves_7B.csv``. Models and datasets have
    the names of the run; a cell without a published curve has no rows.
    """
    names = ["model", "dataset", "published_model", "published_dataset"]
    found = with_published_names(scores, cells)[names].drop_duplicates()
    return found.merge(in_our_words(curves), on=names[2:])


def in_our_words(published: "pd.DataFrame") -> "pd.DataFrame":
    """Return a published table with the column names that this workflow uses, and shares instead of percent."""
    table = published.rename(
        columns={"model": "published_model", "dataset": "published_dataset", "layer_0based": "layer"}
    )
    for percent, share in (("peak_acc_pct", "published_peak_accuracy"), ("converge_pct", "published_converging_point")):
        if percent in table:
            table[share] = table.pop(percent) / 100
    return table


def counted_from_0(converging_point: "pd.Series", n_layers: "pd.Series") -> "pd.Series":
    """Return published converging points as `conceptdepth.depth.definitions.converging_point` counts them.

    Published ones are two layers further, but for the first (1 or none too far) and the last layer (one too early),
    which cannot be told from their neighbours.
    """
    return converging_point - 2 / n_layers
