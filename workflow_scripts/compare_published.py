"""Compare computed depths and curves with those that the paper's authors published."""

import pandas as pd
from conceptdepth.depth.published import PublishedCells, in_our_words, with_published_names
from conceptdepth.ground.files import complete_file
from conceptdepth.provenance.job import job

CELL = ["model", "published_model", "dataset", "published_dataset", "quantization", "perturbation"]
"""Columns that name a compared cell."""

DEPTHS = {"peak_accuracy": "peak_accuracy", "converging_point": "converging_point_published"}
"""What is compared -> its column in ``concept_depth.csv``, where "published" is the rule and not the number."""


def compare_published(
    depths: pd.DataFrame, scores: pd.DataFrame, *, cells: PublishedCells, points: pd.DataFrame, curves: pd.DataFrame
) -> pd.DataFrame:
    """Return a row for each computed cell with published numbers: both, and computed minus published.

    ``depths`` and ``scores`` are the run's tables, ``points`` and ``curves`` the published ones. The mean absolute
    difference of the curves is NaN where none is published, or one with another number of layers.
    """
    rows = with_published_names(depths, cells).merge(in_our_words(points), on=["published_model", "published_dataset"])
    table = rows[CELL].copy()
    for name, column in DEPTHS.items():
        table[f"computed_{name}"] = rows[column]
        table[f"published_{name}"] = rows[f"published_{name}"]
        table[f"difference_{name}"] = rows[column] - rows[f"published_{name}"]
    differences = curve_differences(with_published_names(scores, cells), in_our_words(curves))
    return table.merge(differences, on=CELL, how="left")


def curve_differences(scores: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over layers of |mean accuracy over splits - published accuracy|, a row for each cell."""
    layer = ["published_model", "published_dataset", "layer", "n_layers"]
    means = scores.groupby([*CELL, "layer", "n_layers"], sort=False)["accuracy"].mean().reset_index()
    both = means.merge(curves, on=layer, suffixes=("", "_published"))
    distance = (both["accuracy"] - both["accuracy_published"]).abs()
    return both.assign(difference_curve=distance).groupby(CELL, as_index=False, sort=False)["difference_curve"].mean()


if __name__ == "__main__":
    with job(snakemake):
        table = compare_published(
            pd.read_csv(snakemake.input.depths),
            pd.read_csv(snakemake.input.scores),
            cells=snakemake.params.published,
            points=pd.read_csv(snakemake.input.points),
            curves=pd.read_csv(snakemake.input.curves),
        )
        with complete_file(snakemake.output.differences) as part:
            table.round(6).to_csv(part, index=False, na_rep="NaN")
