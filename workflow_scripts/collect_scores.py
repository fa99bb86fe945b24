"""Put the scores of all cells into one long table, and those of all baselines into another."""

from collections.abc import Sequence

import pandas as pd
from conceptdepth.ground.files import complete_file
from conceptdepth.provenance.job import job

BASELINE = ["dataset", "perturbation", "baseline", "position", "seed"]
"""Columns that name a row of the table of baselines, which is empty if the run has none."""


def collect_scores(scores: Sequence[str], destination: str) -> None:
    """Concatenate the cells' tables, in the order given."""
    tables = [pd.read_csv(path) for path in scores] or [pd.DataFrame(columns=BASELINE)]
    with complete_file(destination) as part:
        pd.concat(tables, ignore_index=True).to_csv(part, index=False)


if __name__ == "__main__":
    with job(snakemake):
        collect_scores(snakemake.input.scores, snakemake.output.scores)
        collect_scores(snakemake.input.baselines, snakemake.output.baselines)
