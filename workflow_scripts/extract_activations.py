"""Read the vectors of every prompt, in every layer of a model."""

import os

from conceptdepth.activations.cell import Cell
from conceptdepth.activations.request import common_fields
from conceptdepth.activations.worker import carried_out
from conceptdepth.provenance.job import job, log
from conceptdepth.provenance.kept import keep, take_back

if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    with job(snakemake) as record:
        settings = snakemake.params.activations
        cell = Cell(
            quantization=settings["weights"],
            sites=list(settings["sites"]),
            positions=list(settings["positions"]),
            destination=snakemake.output.activations,
            record=record.id,
            **common_fields(snakemake, fixed=settings["fixed_batch_tokens"]),
        )
        facts = take_back(cell.destination, record.id)
        if facts:
            log.info("taken back: this cell was finished when another cell of its group failed")
        else:
            facts = carried_out(cell, execution=snakemake.config["execution"], log_file=snakemake.log[0])
        keep(record.written(cell.destination), record.id, facts)
        record.note(**facts)
