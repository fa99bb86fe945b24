"""List the activation files of a model in one weight format, and drop the copies that were kept for its group."""

import csv
from collections.abc import Sequence
from pathlib import Path

from conceptdepth.ground.files import complete_file
from conceptdepth.provenance.job import job
from conceptdepth.provenance.kept import release
from conceptdepth.provenance.record import read_record


def index_activations(records: Sequence[str], destination: str) -> None:
    """Write a row for each file, from the records of the jobs that made them."""
    rows = []
    for record in map(read_record, records):
        output = record["outputs"][0]
        names = {key: record["wildcards"][key] for key in ("dataset", "perturbation")}
        weights = record["environment"]["weights"]
        rows.append(names | {"weights": weights} | output | {"record": record["id"]})
    with complete_file(destination) as part, part.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    release(Path(destination).parent)


if __name__ == "__main__":
    with job(snakemake):
        index_activations(snakemake.input.records, snakemake.output.index)
