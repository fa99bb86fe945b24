"""What a job may know of the configuration: exactly what its outputs depend on.

These values go into the ``params`` of rules. Snakemake reruns a job when they change, so they leave out
what does not matter and stand in a fixed order.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from conceptdepth.digest import file_sha256


def in_order(value: Any) -> Any:
    """Sort the keys of nested mappings: Snakemake would rerun a job because two keys changed places."""
    return {key: in_order(value[key]) for key in sorted(value)} if isinstance(value, Mapping) else value


def pinned(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source with the digest of its bytes; a local file gets the one that it has now."""
    if "path" in source and Path(source["path"]).is_file():
        return in_order({**source, "sha256": file_sha256(source["path"])})
    return in_order(source)


def chosen_keys(entry: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return the named keys of a registry entry, as far as it has them; sources are pinned."""
    return {key: pinned(entry[key]) if key == "source" else in_order(entry[key]) for key in keys if key in entry}


def grid(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the values of each wildcard that names a cell."""
    keys = {"model": "models", "quantization": "quantizations", "dataset": "datasets", "perturbation": "perturbations"}
    return {wildcard: config["run"][key] for wildcard, key in keys.items()}


def model_rank(config: Mapping[str, Any], model: str, quantization: str) -> int:
    """Return the place of a model in a weight format in the order of the run."""
    run = config["run"]
    return run["models"].index(model) * len(run["quantizations"]) + run["quantizations"].index(quantization)


BYTES_PER_PARAMETER = {"fp32": 4, "bf16": 2, "int8": 5, "nf4": 5}
"""Memory of the weights at its peak, which for int8 and nf4 is while float32 weights are quantized."""


def memory_mb(parameters: int, quantization: str) -> int:
    """Return the memory that an extraction takes in MB: libraries, a batch and the output, then weights."""
    return 900 + parameters * BYTES_PER_PARAMETER[quantization] // 10**6


def selected_configuration(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without what the run does not select and what does not change results."""
    chosen = {key: value for key, value in config.items() if key not in ("execution", "source_mirror")}
    for registry in ("models", "datasets", "perturbations"):
        chosen[registry] = {name: config[registry][name] for name in config["run"][registry]}
    return in_order(chosen)


def figure_labels(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the names that a reader knows, by registry and name, in the order of the run."""
    run, datasets = config["run"], config["datasets"]
    return {
        "models": {name: config["models"][name]["label"] for name in run["models"]},
        "datasets": {name: datasets[name]["label"] for name in run["datasets"]},
        "domains": {name: datasets[name]["domain"] for name in run["datasets"]},
    }
