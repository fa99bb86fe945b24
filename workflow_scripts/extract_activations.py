"""Read the vectors at the last token of every prompt, in every layer of a model."""

import os

from conceptdepth.activations.cell import Cell, extract_cell
from conceptdepth.activations.worker import extract_in_worker
from conceptdepth.models.loaded import LoadedModels
from conceptdepth.provenance.digest import code_digest
from conceptdepth.provenance.job import job, log
from conceptdepth.provenance.kept import keep, take_back

if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    with job(snakemake) as record:
        execution = snakemake.config["execution"]
        settings = snakemake.params.activations
        fixed = settings["fixed_batch_tokens"]
        cell = Cell(
            model=snakemake.input.model,
            name=snakemake.wildcards.model,
            quantization=settings["weights"],
            prompts=snakemake.input.prompts,
            sites=list(settings["sites"]),
            batch_tokens=fixed or (None if execution["batch_tokens"] == "auto" else execution["batch_tokens"]),
            fixed_batch_tokens=fixed is not None,
            device=execution["device"],
            max_memory=execution.get("max_memory"),
            scratch=execution["scratch"],
            threads=snakemake.threads,
            destination=snakemake.output.activations,
            record=record.id,
            **snakemake.params.model,
        )
        facts = take_back(cell.destination, record.id)
        if facts:
            log.info("taken back: this cell was done before another one of its group failed")
        elif execution["keep_model_loaded"]:
            facts = extract_in_worker(
                cell,
                log_file=snakemake.log[0],
                log_level=execution["log_level"],
                digest=code_digest("extract_activations.py"),
            )
        else:
            facts = extract_cell(cell, LoadedModels())
        keep(cell.destination, record.id, facts)
        record.peak_memory_mb = facts["peak_memory_mb"]
        record.measured = facts["measured"]
        record.environment = facts["environment"]
