"""What changing vectors along concepts needs of a configuration, which a run without it does not."""

from collections.abc import Mapping
from typing import Any

LINEAR = ("logistic_regression", "mass_mean", "ridge")
"""Kinds of probes that have a direction."""


def why_not_causal(config: Mapping[str, Any]) -> str | None:
    """Return what a configuration lacks, in a sentence for a person; None if nothing."""
    settings, intervals = config["causal"], config["intervals"]
    wanted = (("sites", "residual"), ("positions", settings["position"]))
    missing = [f"{name} in activations.{key}" for key, name in wanted if name not in config["activations"][key]]
    kinds = [settings["probe"]] if settings["probe"] else list(LINEAR)
    if not {*kinds} & {*config["probes"]["kinds"]}:
        missing.append(f"{' or '.join(kinds)} in probes.kinds")
    if missing:
        return f"snakemake causal needs {' and '.join(missing)}, as in config/causal.yaml."
    if intervals["draws"] < 2 or not intervals["permutations"]:
        return "snakemake causal needs intervals.draws and intervals.permutations, which say how sure an effect is."
    least = 1 / (settings["random_directions"] + 1)
    if least > 1 - intervals["level"] + 1e-9:
        return (
            f"causal.random_directions: of {settings['random_directions']} no p value is below {least:.2g}, where "
            f"intervals.level asks for {1 - intervals['level']:.2g}; set more."
        )
    return None
