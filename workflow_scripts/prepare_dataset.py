"""Turn a source into labelled statements."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from conceptdepth.datasets.statements import load_statements
from conceptdepth.ground.jsonl import write_jsonl
from conceptdepth.provenance.job import job, log


def prepare_dataset(dataset: str, *, entry: Mapping[str, Any], source: str | None, destination: str) -> None:
    """Write the statements of a dataset as JSON Lines, in the order of its source."""
    statements = load_statements(dataset, entry, source)
    write_jsonl(destination, statements)
    sizes = Counter(statement["label"] for statement in statements)
    log.info("statements of class 0: %d, of class 1: %d", sizes[0], sizes[1])


if __name__ == "__main__":
    with job(snakemake):
        prepare_dataset(
            snakemake.wildcards.dataset,
            entry=snakemake.params.dataset,
            source=snakemake.input.source[0] if snakemake.input.source else None,
            destination=snakemake.output.statements,
        )
