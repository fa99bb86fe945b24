"""One switch alone: the configuration under each switch of ``ablation.switches``, and the stages that it touches.

A switch is a small overlay of the configuration. Of a cell under a switch only the stages run again that it touches
and those that follow them; the others are the cell's own.
"""

from collections.abc import Mapping
from functools import reduce
from typing import Any

from conceptdepth.configuration.renderings import chat_settings, prompt_settings
from conceptdepth.configuration.settings import chosen_grid, each_cell, extraction_settings
from conceptdepth.ground.mappings import merged

ALL = "all"
"""The switch that is all others together."""

STAGES = ("datasets", "prompts", "activations", "probes")
"""What a switch may touch, in running order."""


def switches(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the overlay of each switch of ``ablation.run``, by name, and of `ALL` if there are several."""
    each = {name: config["ablation"]["switches"][name] for name in config["ablation"]["run"]}
    nothing: dict[str, Any] = {}
    return each | ({ALL: reduce(merged, each.values(), nothing)} if len(each) > 1 else {})


def under(config: Mapping[str, Any], wildcards: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the configuration of a job: under its wildcard ``switch`` if it has one, else as it is."""
    switch = wildcards.get("switch")
    return merged(config, switches(config)[switch]) if switch else config


def touched(config: Mapping[str, Any], cell: Mapping[str, str], stage: str) -> bool:
    """Tell whether a stage of a cell runs again under the cell's switch: it or an earlier one has other settings."""
    own, switched = (_settings_until(stage, given, cell) for given in (config, under(config, cell)))
    return own != switched


def _settings_until(stage: str, config: Mapping[str, Any], cell: Mapping[str, str]) -> list[Any]:
    """Return what decides the stages up to this one; a job before the extraction may have no weight format
    and no perturbation.
    """
    dataset, perturbation = cell["dataset"], cell.get("perturbation")
    by_stage: dict[str, Any] = {
        "datasets": {key: value for key, value in config["datasets"][dataset].items() if key != "template"},
        "prompts": perturbation and [config["prompts"]["too_long"], *prompt_settings(config, dataset, perturbation)],
        "activations": [
            extraction_settings(config, cell.get("quantization", "")),
            perturbation and chat_settings(config, perturbation),
        ],
        "probes": config["probes"],
    }
    return [by_stage[name] for name in STAGES[: STAGES.index(stage) + 1]]


def switched_cells(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the wildcards of every switch on every cell of the run that it touches."""
    cells = each_cell({"switch": list(switches(config))} | chosen_grid(config))
    return [cell for cell in cells if touched(config, cell, STAGES[-1])]


def upstream(config: Mapping[str, Any], cell: Mapping[str, str], stage: str, pattern: str) -> str:
    """Return the path of what a stage made for a cell under a switch: the cell's own file if the switch comes later.

    ``{ablation}`` and ``{ablated}`` in the pattern stand for the folder and the rule's suffix of what a switch touches.
    """
    anew = touched(config, cell, stage)
    places = {"ablation": f"ablation/{cell['switch']}/", "ablated": f"__ablated/{cell['switch']}"}
    return pattern.format(**cell, **(places if anew else dict.fromkeys(places, "")))
