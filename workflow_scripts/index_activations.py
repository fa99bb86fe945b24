"""List the activation files of a model in one weight format, and let go of what was kept for its group."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from conceptdepth.files import complete_file
from conceptdepth.job import job
from conceptdepth.kept import release
from conceptdepth.provenance import read_record


def index_activations(records: Sequence[str], destination: str) -> None:
    """Write a row for each file, from the records of the jobs that made them."""
    rows = []
    for record in map(read_record, records):
        output = record["outputs"][0]
        names = {key: record["wildcards"][key] for key in ("dataset", "perturbation")}
        rows.append(names | output | {"record": record["id"]})
    with complete_file(destination) as part:
        pd.DataFrame(rows).to_csv(part, index=False)
    release(Path(destination).parent)


if __name__ == "__main__":
    with job(snakemake):
        index_activations(snakemake.input.records, snakemake.output.index)
