"""Put each statement, perturbed or not, into the template of its dataset."""

from collections.abc import Mapping
from typing import Any

from conceptdepth.datasets.prompts import instructed, render
from conceptdepth.ground.jsonl import read_jsonl, write_jsonl
from conceptdepth.provenance.job import job, log


def render_prompts(
    statements: str,
    *,
    template: Mapping[str, str],
    instruction: str,
    perturbation: Mapping[str, Any],
    destination: str,
) -> None:
    """Write the prompts of a dataset under one perturbation as JSON Lines."""
    used = instructed(template, instruction)
    prompts = [render(statement, used, perturbation) for statement in read_jsonl(statements)]
    write_jsonl(destination, prompts)
    log.info("%d prompts; the first: %s", len(prompts), prompts[0]["prompt"])


if __name__ == "__main__":
    with job(snakemake):
        render_prompts(
            snakemake.input.statements,
            template=snakemake.params.dataset["template"],
            instruction=snakemake.params.prompts["instruction"],
            perturbation=snakemake.params.perturbation,
            destination=snakemake.output.prompts,
        )
