"""Bring a model's weights to this machine and say what they are."""

from conceptdepth.models.fetch import fetch_model
from conceptdepth.provenance.job import job

if __name__ == "__main__":
    with job(snakemake) as record:
        description = fetch_model(
            snakemake.wildcards.model,
            snakemake.params.model["source"],
            snakemake.output.model,
            snakemake.config.get("source_mirror"),
            # Not a param: what is chosen decides whether the job succeeds, not what it writes.
            formats=snakemake.config["run"]["quantizations"],
            trust_remote_code=snakemake.params.model.get("trust_remote_code", False),
        )
        if "revision" in description["where"]:
            record.environment["revision"] = description["where"]["revision"]
        if "compared" in description:
            record.environment["compared"] = description["compared"]
