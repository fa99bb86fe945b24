"""Put each statement, perturbed or not, into the template of its dataset."""

from collections.abc import Mapping
from typing import Any

from conceptdepth.datasets.prompts import presented, render
from conceptdepth.datasets.rows import read_statements
from conceptdepth.datasets.too_long import described, parted, read_too_long
from conceptdepth.ground.jsonl import write_jsonl
from conceptdepth.provenance.job import job, log


def render_prompts(
    statements: str,
    *,
    template: Mapping[str, str],
    instruction: str = "declared",
    perturbation: Mapping[str, Any],
    too_long: str | None = None,
    destination: str,
) -> None:
    """Write the prompts of a dataset under one perturbation as JSON Lines.

    ``template`` is the dataset's own; keys of the perturbation's come in the place of its keys. ``too_long`` is
    the table of prompts whose statements are left out, None to leave out nothing.
    """
    used = presented(template, instruction, perturbation.get("template", {}))
    rows = read_statements(statements)
    if too_long is not None:
        found = read_too_long(too_long)
        log.info("%s", described(rows, found))
        rows, _ = parted(rows, found)
    prompts = [render(statement, used, perturbation) for statement in rows]
    write_jsonl(destination, prompts)
    log.info("%d prompts; the first: %s", len(prompts), prompts[0]["prompt"])


if __name__ == "__main__":
    with job(snakemake):
        render_prompts(
            snakemake.input.statements,
            template=snakemake.params.dataset["template"],
            perturbation=snakemake.params.perturbation,
            **snakemake.params.prompts,  # None if the perturbation has an instruction of its own.
            too_long=snakemake.input.too_long[0] if snakemake.input.too_long else None,
            destination=snakemake.output.prompts,
        )
