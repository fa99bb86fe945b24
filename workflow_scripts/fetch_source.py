"""Bring the pinned bytes of a dataset to this machine."""

from conceptdepth.job import job
from conceptdepth.sources import fetch_file

if __name__ == "__main__":
    with job(snakemake):
        fetch_file(
            f"datasets.{snakemake.wildcards.dataset}",
            snakemake.params.dataset["source"],
            snakemake.output.file,
            snakemake.config.get("source_mirror"),
        )
