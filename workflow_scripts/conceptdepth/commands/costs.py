"""Say what a run will cost before it runs: memory, disk, tokens and GPU hours of every model and weight format.

Nothing is fetched or loaded. Cells whose activations are up to date cost nothing and are left out.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from conceptdepth.commands.costs_table import show, show_changed
from conceptdepth.configuration import settings
from conceptdepth.configuration.assumptions import Assumptions
from conceptdepth.configuration.causal_costs import causal_costs
from conceptdepth.configuration.costs import (
    Cost,
    Texts,
    Tokens,
    cost,
    counted_tokens,
    estimated_tokens,
    expected_texts,
    rendered_texts,
)
from conceptdepth.configuration.plan import Plan, planned
from conceptdepth.configuration.renderings import chat_settings
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.models.weights import model_folder

Stale = dict[str, list[dict[str, str]]]
"""Rule -> the wildcards of its jobs that would run."""


def run(options: Sequence[str], assumptions: Assumptions, *, whole_grid: bool, as_json: bool) -> int:
    """Print the costs of the run that ``options``, arguments of snakemake, describe."""
    with planned(options) as plan:
        estimator = Estimator(plan, assumptions)
        costs = list(estimator.costs(estimator.all_cells() if whole_grid else estimator.stale_cells()))
        changed = causal_costs(estimator.config, estimator.changed_cells(), assumptions)
    if as_json:
        found = {"costs": [asdict(row) for row in costs], "causal": [asdict(row) for row in changed]}
        print(json.dumps({"assumptions": asdict(assumptions), **found}, indent=1))
    else:
        show(costs, assumptions, whole_grid=whole_grid)
        show_changed(changed)
    return 0


class Estimator:
    """What is known of the cells of a planned run: prompts and tokenizers that are here, hints of the registries."""

    def __init__(self, plan: Plan, assumptions: Assumptions) -> None:
        """Take a plan of Snakemake, which tells what is stale."""
        self.config = plan.config
        self.assumptions = assumptions
        self._stale: Stale = {
            rule: [] for rule in ("extract_activations", "render_prompts", "fetch_model", "measure_effects")
        }
        for job in plan.jobs:
            if job.rule.name in self._stale:
                self._stale[job.rule.name].append(dict(job.wildcards.items()))
        self._prompts: dict[tuple[str, str], list[str] | None] = {}
        self._tokens: dict[tuple[str, str, str], Tokens] = {}

    def stale_cells(self) -> list[dict[str, str]]:
        """Return the cells that would be extracted."""
        return self._stale["extract_activations"]

    def changed_cells(self) -> list[dict[str, str]]:
        """Return the cells whose vectors would be changed: none unless that is asked for."""
        return self._stale["measure_effects"]

    def all_cells(self) -> list[dict[str, str]]:
        """Return all cells of the grid."""
        return settings.each_cell(settings.grid(self.config))

    def costs(self, cells: Sequence[Mapping[str, str]]) -> Iterator[Cost]:
        """Give the cost of each model and weight format, in the order of the run."""
        grid = settings.grid(self.config)
        for model in grid["model"]:
            for quantization in grid["quantization"]:
                chosen = [cell for cell in cells if (cell["model"], cell["quantization"]) == (model, quantization)]
                if chosen:
                    known = [self.size(model, cell["dataset"], cell["perturbation"]) for cell in chosen]
                    yield cost(self.config, model, quantization, known, self.assumptions)

    def size(self, model: str, dataset: str, perturbation: str) -> tuple[Texts, Tokens] | None:
        """Return texts and tokens of a cell: from its prompts if they are here, else from the registry's hint."""
        prompts = self.prompts(dataset, perturbation)
        if prompts is None:
            entry, rendering = self.config["datasets"][dataset], self.config["perturbations"][perturbation]
            texts = expected_texts(entry, rendering, dataset)
            return (texts, estimated_tokens(texts, self.assumptions.characters_per_token)) if texts else None
        key = (model, dataset, perturbation)
        if key not in self._tokens:
            self._tokens[key] = self.tokens(model, prompts, perturbation)
        return rendered_texts(prompts), self._tokens[key]

    def prompts(self, dataset: str, perturbation: str) -> list[str] | None:
        """Return the prompts of a dataset, or None if they are not here or stale."""
        key = (dataset, perturbation)
        if key not in self._prompts:
            path = Path(f"results/prompts/{dataset}.{perturbation}.jsonl")
            stale = {"dataset": dataset, "perturbation": perturbation} in self._stale["render_prompts"]
            here = path.is_file() and not stale
            self._prompts[key] = [row["prompt"] for row in read_prompts(path)] if here else None
        return self._prompts[key]

    def tokens(self, model: str, prompts: Sequence[str], rendering: str) -> Tokens:
        """Count the tokens of prompts if the model's tokenizer is here, else estimate them."""
        description = Path(f"results/models/{model}/model.json")
        stale = {"model": model} in self._stale["fetch_model"]
        own_code = self.config["models"][model].get("trust_remote_code", False)
        if stale or own_code or not description.is_file():
            return estimated_tokens(rendered_texts(prompts), self.assumptions.characters_per_token)
        os.environ["HF_HUB_OFFLINE"] = "1"
        from conceptdepth.models.chat import read_tokens
        from conceptdepth.models.loading import load_tokenizer

        tokenizer, chat = load_tokenizer(model_folder(description)), chat_settings(self.config, rendering)
        return counted_tokens(read_tokens(tokenizer, prompts, chat, model=model, rendering=rendering))
