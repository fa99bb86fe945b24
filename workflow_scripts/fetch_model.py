"""Bring a model's weights to this machine and say what they are."""

from conceptdepth.models.fetch import fetch_model
from conceptdepth.provenance.job import job

if __name__ == "__main__":
    with job(snakemake) as record:
        where = fetch_model(
            snakemake.wildcards.model,
            snakemake.params.model["source"],
            snakemake.output.model,
            snakemake.config.get("source_mirror"),
        )
        if "revision" in where:
            record.environment["revision"] = where["revision"]
