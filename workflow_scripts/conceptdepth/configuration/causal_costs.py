"""What changing vectors along concepts will cost, before it runs: tokens, in units of those of an extraction."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from conceptdepth.configuration.assumptions import Assumptions
from conceptdepth.depth.interventions import ADD, chosen_layers

AROUND = 3
"""Layers around the first at which a probe is above chance, which is not known before."""


@dataclass(frozen=True)
class CausalCost:
    """The cells of one model whose vectors are changed."""

    model: str
    cells: int
    statements: int
    """Asked in each cell, at least."""
    changes: int
    """Of each statement at each layer."""
    layers: int | None
    """That are changed, at most; None if the registry does not say how many the model has."""
    tokens: float | None
    """So many tokens of an extraction take as long; None likewise."""


def causal_costs(
    config: Mapping[str, Any], cells: Iterable[Mapping[str, str]], assumptions: Assumptions
) -> list[CausalCost]:
    """Return what the given cells cost, a row for each model.

    A change takes the blocks above its layer, of one token and those of the cue. A text of several changed tokens takes
    more, and so do models that run whole prompts.
    """
    settings, cue = config["causal"], config["answers"]["cue"]
    own = 1 + math.ceil((1 + len(cue)) / assumptions.characters_per_token)
    each = settings["random_directions"] + 2  # And the concept, and shuffled labels.
    changes = each * len(settings["methods"]) + 2 * (ADD in settings["methods"])
    by_model: dict[str, int] = {}
    for cell in cells:
        by_model[cell["model"]] = by_model.get(cell["model"], 0) + 1
    rows = []
    for model, number in by_model.items():
        n_layers = config["models"][model].get("layers")
        layers = tokens = None
        if n_layers is not None:
            changed = chosen_layers(n_layers, settings["every"], None)
            layers = min(n_layers, len(changed) + AROUND)
            above = sum(n_layers - 1 - layer for layer in changed) / n_layers * layers / len(changed)
            tokens = number * settings["statements"] * changes * own * above
        rows.append(CausalCost(model, number, settings["statements"], changes, layers, tokens))
    return rows
