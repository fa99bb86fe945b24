"""Score each statement by what the model itself says, and would say at each layer: the next token after a cue."""

import os

from conceptdepth.activations.answer_cell import AnswerCell
from conceptdepth.activations.request import common_fields
from conceptdepth.activations.worker import carried_out
from conceptdepth.provenance.job import job

if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    with job(snakemake) as record:
        settings = snakemake.params.answers
        cell = AnswerCell(
            quantization=snakemake.wildcards.quantization,
            cell=dict(snakemake.wildcards.items()),
            words=settings["words"],
            cue=settings["cue"],
            destination=snakemake.output.answers,
            lens=snakemake.output.lens,
            **common_fields(snakemake, fixed=settings["fixed_batch_tokens"]),
        )
        record.note(**carried_out(cell, execution=snakemake.config["execution"], log_file=snakemake.log[0]))
