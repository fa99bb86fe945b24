"""Ask a model with its vectors changed at one layer: along a concept, and along directions like it."""

import os

from conceptdepth.activations.causal_cell import CausalCell
from conceptdepth.activations.request import common_fields
from conceptdepth.activations.worker import carried_out
from conceptdepth.provenance.job import job

if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    with job(snakemake) as record:
        settings = snakemake.params.answers
        cell = CausalCell(
            quantization=snakemake.wildcards.quantization,
            cell=dict(snakemake.wildcards.items()),
            changes=snakemake.input.changes,
            words=settings["words"],
            cue=settings["cue"],
            neutral=snakemake.params.causal["neutral"],
            destination=snakemake.output.effects,
            record=record.id,
            **common_fields(snakemake, fixed=settings["fixed_batch_tokens"]),
        )
        record.note(**carried_out(cell, execution=snakemake.config["execution"], log_file=snakemake.log[0]))
