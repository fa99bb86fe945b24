"""Put the scores of all cells into one long table."""

from collections.abc import Sequence

import pandas as pd
from conceptdepth.files import complete_file
from conceptdepth.job import job


def collect_scores(scores: Sequence[str], destination: str) -> None:
    """Concatenate the cells' tables, in the order given."""
    table = pd.concat([pd.read_csv(path) for path in scores], ignore_index=True)
    with complete_file(destination) as part:
        table.to_csv(part, index=False)


if __name__ == "__main__":
    with job(snakemake):
        collect_scores(snakemake.input.scores, snakemake.output.scores)
