"""Find jump point, converging points and peak of every cell."""

from collections.abc import Mapping

import pandas as pd
from conceptdepth.depth import describe_curve
from conceptdepth.files import complete_file
from conceptdepth.job import job

CELL = ["model", "quantization", "dataset", "perturbation", "site", "probe"]
"""Columns that name a curve."""


def estimate_depth(scores: str, *, settings: Mapping[str, float], destination: str) -> None:
    """Write one row for each curve, the mean over the splits' seeds."""
    table = pd.read_csv(scores)
    table = table[table["target"] == "concept"]
    rows = []
    for cell, curves in table.groupby(CELL, sort=False):
        curve = curves.groupby("layer")["accuracy"].mean()
        rows.append(dict(zip(CELL, cell)) | {"n_seeds": curves["seed"].nunique()} | describe_curve(curve, **settings))
    with complete_file(destination) as part:
        # "NaN" in words: an empty field could be taken for a value that was forgotten.
        pd.DataFrame(rows).to_csv(part, index=False, na_rep="NaN")


if __name__ == "__main__":
    with job(snakemake):
        estimate_depth(snakemake.input.scores, settings=snakemake.params.depth, destination=snakemake.output.depths)
