"""What a job may know of the configuration: exactly what its outputs depend on.

These values go into the ``params`` of rules. Snakemake reruns a job when they change, so they leave out
what does not matter and stand in a fixed order.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from conceptdepth.configuration.schema import YAML_LOADER
from conceptdepth.datasets.sources import file_name
from conceptdepth.depth.published import POSITION, QUANTIZATION, SITE
from conceptdepth.ground.files import ROOT, file_sha256
from conceptdepth.ground.names import CELL, RANDOM, RERUN

ENVIRONMENTS = ROOT / "envs"


def in_order(value: Any) -> Any:
    """Sort the keys of nested mappings: Snakemake would rerun a job because two keys changed places."""
    return {key: in_order(value[key]) for key in sorted(value)} if isinstance(value, Mapping) else value


def pinned(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source with a digest of its bytes; a local file or folder gets the one that it has now."""
    path = Path(source.get("path", ""))
    if "path" in source and path.is_file():
        return in_order({**source, "sha256": file_sha256(path)})
    if "path" in source and path.is_dir():
        return in_order({**source, "samples_sha256": samples_sha256(path)})
    return in_order(source)


def samples_sha256(folder: Path) -> str:
    """Return a digest of the files of a folder: their names, sizes, and 16 samples of 64 KiB from each.

    Weights are gigabytes and a dry run has seconds. Other weights of the same shape differ in every sample;
    the job that reads them hashes them whole.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as stream:
            for number in range(16):
                stream.seek(max(0, size - SAMPLE) * number // 15)
                digest.update(stream.read(SAMPLE))
    return digest.hexdigest()


SAMPLE = 1 << 16
"""Bytes of a sample."""


STATEMENTS = ("source", "table", "columns", "missing_group", "parser", "classes", "drop", "max_words", "max_per_class")
"""Keys of a dataset's entry that decide its statements."""


def chosen_keys(entry: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return what the named keys of a registry entry decide, as far as it has them; null is as good as absent."""
    return {key: DECISIVE.get(key, in_order)(entry[key]) for key in keys if entry.get(key) is not None}


def unnamed(classes: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return what decides which statements belong to each class: all but its name and its answer."""
    return [in_order({key: value for key, value in cls.items() if key not in ("name", "answer")}) for cls in classes]


DECISIVE: dict[str, Callable[[Any], Any]] = {"source": pinned, "classes": unnamed}
"""Keys of registry entries of which more, or less, counts than what is written there."""


def extraction_settings(config: Mapping[str, Any], quantization: str) -> dict[str, Any]:
    """Return the settings that decide the activations of a weight format."""
    settings = config["activations"]
    weights = weight_format(config, quantization)
    fixed = settings["fixed_batch_tokens"].get(weights)
    if quantization == RERUN:
        fixed = max(1, min(RERUN_TOKENS, fixed // 2)) if fixed else RERUN_TOKENS
    return in_order(settings | {"fixed_batch_tokens": fixed, "weights": weights})


RERUN_TOKENS = 64
"""Most tokens of a pass of a rerun: few, so that a small dataset takes several; or half of the weight format's own."""


def weight_format(config: Mapping[str, Any], quantization: str) -> str:
    """Return the weight format that a cell's model is loaded in, `RANDOM` for none."""
    return config["run"]["quantizations"][0] if quantization == RERUN else quantization


def answer_words(config: Mapping[str, Any], dataset: str) -> list[str]:
    """Return what a model would say for class 0 and for class 1."""
    return [cls.get("answer", cls["name"]) for cls in config["datasets"][dataset]["classes"]]


def answer_settings(config: Mapping[str, Any], dataset: str, quantization: str) -> dict[str, Any]:
    """Return the settings that decide a model's own answers: the words of class 0 and 1, the cue, tokens of a pass."""
    words = answer_words(config, dataset)
    fixed = config["activations"]["fixed_batch_tokens"].get(quantization)
    return in_order(config["answers"] | {"words": words, "fixed_batch_tokens": fixed})


@cache
def pins(stage: str) -> dict[str, str]:
    """Return the versions that ``envs/<stage>.yaml`` pins: of Python, and of what comes from PyPI."""
    content = yaml.load((ENVIRONMENTS / f"{stage}.yaml").read_text(encoding="utf-8"), YAML_LOADER)
    python, _, of_pypi = content["dependencies"]
    return in_order(dict([python.split("="), *(pin.split("==") for pin in of_pypi["pip"])]))


def of_source(config: Mapping[str, Any], dataset: str, pattern: str) -> list[str]:
    """Return the pattern filled in for the file that a dataset is fetched as; a generator has none."""
    source = config["datasets"][dataset]["source"]
    return [] if "generator" in source else [pattern.format(dataset=dataset, file=file_name(source))]


def chosen_grid(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the values of each wildcard that names a cell, as the section ``run`` has them."""
    return {name: list(config["run"][f"{name}s"]) for name in CELL}


def grid(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return `chosen_grid` with the controls that stand in the place of weight formats."""
    names = chosen_grid(config)
    first, *others = names["quantization"]
    rerun = [RERUN] if config["drift"]["rerun"] else []  # Behind its format, of which the model is still loaded.
    untrained = [RANDOM] if config["controls"]["random_weights"] else []
    return names | {"quantization": [first, *rerun, *others, *untrained]}


def each_cell(grid: Mapping[str, Iterable[str]]) -> list[dict[str, str]]:
    """Return the wildcards of every cell of a grid, the last of them changing fastest."""
    return [dict(zip(grid, values)) for values in itertools.product(*grid.values())]


def compared(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the weight formats and perturbations that are compared: all but random weights."""
    names = grid(config)
    return {
        "quantization": [name for name in names["quantization"] if name != RANDOM],
        "perturbation": names["perturbation"],
    }


def compares(config: Mapping[str, Any]) -> bool:
    """Tell whether activations are compared: it takes two weight formats or two perturbations."""
    return config["drift"]["measured"] and max(map(len, compared(config).values())) > 1


REWORDS = ("template", "templates", "chat")
"""Keys of an entry of ``perturbations`` that put other words around texts."""


def varies(config: Mapping[str, Any]) -> bool:
    """Tell whether statements are read in more than one way: at several positions or sites, or in another wording."""
    entries = [config["perturbations"][name] for name in config["run"]["perturbations"]]
    reworded = any(entry.get(key) for entry in entries for key in REWORDS)
    return reworded or any(len(config["activations"][key]) > 1 for key in ("positions", "sites"))


def model_rank(config: Mapping[str, Any], model: str, quantization: str) -> int:
    """Return the place of a model in a weight format in the order of the run."""
    names = grid(config)
    formats = names["quantization"]
    return names["model"].index(model) * len(formats) + formats.index(quantization)


def selected_configuration(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without what the run does not select and what does not change results."""
    chosen = {key: value for key, value in config.items() if key not in ("execution", "source_mirror")}
    return in_order(chosen | selected_entries(config, ("models", "datasets", "perturbations")))


def selected_entries(config: Mapping[str, Any], registries: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the entries of registries that the run selects, in the order of the run."""
    return {registry: {name: config[registry][name] for name in config["run"][registry]} for registry in registries}


def kinds(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return by what claims tell cells apart: the domain of each dataset, family and parameters of each model."""
    run = config["run"]
    return {
        "domains": {name: config["datasets"][name]["domain"] for name in run["datasets"]},
        "models": {
            name: [config["models"][name].get(key) for key in ("family", "parameters")] for name in run["models"]
        },
    }


def claims(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims that are not left out."""
    return in_order({name: claim for name, claim in config["claims"].items() if claim})


def figure_labels(config: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what a reader calls models and datasets, by registry and name, in the order of the run."""
    run, datasets = config["run"], config["datasets"]
    return {
        "models": {name: {"label": config["models"][name]["label"]} for name in run["models"]},
        "datasets": {name: {key: datasets[name][key] for key in ("domain", "label")} for name in run["datasets"]},
    }


def page_labels(config: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return `figure_labels`, each dataset with its ``classes`` and ``licence``, and whether to ``show_texts``."""
    labels = figure_labels(config)
    for name, of_dataset in labels["datasets"].items():
        entry = config["datasets"][name]
        of_dataset["classes"] = [one["name"] for one in entry["classes"]]
        of_dataset |= {"licence": entry["licence"], "show_texts": entry.get("show_texts", False)}
    return labels


def leaves_as_they_are(perturbation: Mapping[str, Any]) -> bool:
    """Tell whether prompts under an entry of ``perturbations`` are texts in their datasets' templates, and no more."""
    return not any(perturbation.get(key) for key in ("prepend", *REWORDS))


def published_cells(config: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what names the cells of the run that have published numbers, by section and name; nothing if none has.

    Those are cells of models and datasets with the key ``published``, on texts that are left as they are, in the
    weight format, and at the site and position of `conceptdepth.depth.published`.
    """
    run = config["run"]
    found = {
        key: {
            name: chosen_keys(config[key][name], ["published"]) for name in run[key] if "published" in config[key][name]
        }
        for key in ("models", "datasets")
    }
    found["perturbations"] = {
        name: {"prepend": []} for name in run["perturbations"] if leaves_as_they_are(config["perturbations"][name])
    }
    wanted = (
        (QUANTIZATION, run["quantizations"]),
        (SITE, config["activations"]["sites"]),
        (POSITION, config["activations"]["positions"]),
    )
    read = all(name in chosen for name, chosen in wanted)
    return found if read and all(found.values()) else {}
