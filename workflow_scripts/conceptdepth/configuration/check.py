"""Checking a configuration before any job runs; every complaint is one sentence for a person."""

import csv
import importlib.util
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from conceptdepth.configuration.local_data import dataset_problems
from conceptdepth.configuration.plain import plain_problems
from conceptdepth.configuration.renderings import chat_problems, entry_problems, rendering_problems
from conceptdepth.configuration.schema import validator
from conceptdepth.configuration.sentences import nearest, sentence
from conceptdepth.datasets.generators import GENERATORS
from conceptdepth.datasets.parsers import PARSERS
from conceptdepth.datasets.sources import file_name, is_file_name
from conceptdepth.datasets.statements import names_spans
from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.ground.files import ROOT
from conceptdepth.ground.mappings import merged
from conceptdepth.models.checkpoint import check_folder

PUBLISHED = ROOT / "resources" / "published" / "site_peak_converge.csv"
"""A table with every name that the paper's published numbers use."""


def check_config(config: Mapping[str, Any]) -> None:
    """Raise `UserError` with a line for everything that is wrong with a configuration, merged and filled.

    Datasets of the run that are local files are read, so that a row without a text, a repeated id or a class that a
    part of a split lacks is found here too. Of models that are local folders, the configuration and the names of files
    are.
    """
    problems = list(plain_problems(config)) or list(dict.fromkeys(_schema_problems(config)))
    problems = problems or list(_reference_problems(config))
    problems = problems or [*_source_problems(config), *_span_problems(config), *rendering_problems(config)]
    problems = problems or list(_switch_problems(config))
    problems = problems or [*_model_problems(config), *dataset_problems(config)]
    if problems:
        raise UserError("\n".join(problems))


def check_chats(config: Mapping[str, Any]) -> None:
    """Raise `UserError` with a line for every model without a chat template that a rendering of the run asks for.

    For a run before its first job. Of a model that a job fetches, the jobs that need its template say the same, and
    those of other models go on.
    """
    if problems := list(chat_problems(config)):
        raise UserError("\n".join(problems))


def _schema_problems(config: Mapping[str, Any]) -> Iterator[str]:
    for error in sorted(validator().iter_errors(config), key=lambda error: list(map(str, error.absolute_path))):
        yield sentence(error)


def _reference_problems(config: Mapping[str, Any]) -> Iterator[str]:
    for key in ("models", "datasets", "perturbations"):
        for name in config["run"][key]:
            if name not in config[key]:
                yield _no_such(f"run.{key}", name, key, config)
    yield from _published_problems(config)
    yield from _dataset_option_problems(config)


def _dataset_option_problems(config: Mapping[str, Any]) -> Iterator[str]:
    for name, entry in config["datasets"].items():
        if "generator" in entry["source"]:
            yield from _option_problems(f"datasets.{name}.source", "generator", entry["source"], GENERATORS, 0)
        elif "parser" in entry:
            yield from _option_problems(f"datasets.{name}.parser", "name", entry["parser"], PARSERS, 1)


def _source_problems(config: Mapping[str, Any]) -> Iterator[str]:
    for name in config["run"]["datasets"]:
        entry = config["datasets"][name]
        source = entry["source"]
        if "missing_group" in entry and "group" not in entry.get("columns", {}):
            yield f"datasets.{name}.missing_group: no column is named in `columns.group`, so that none can be missing."
        if "generator" not in source and not is_file_name(file_name(source)):
            yield f"datasets.{name}.source: {file_name(source)!r}, where it ends, cannot be the name of a file here."


def _span_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Find datasets of the run that name no span where one is to be read at."""
    positions = [one for one in config["activations"]["positions"] if one.startswith("span_")]
    which, need = " and ".join(positions), "needs" if len(positions) == 1 else "need"
    for name in config["run"]["datasets"] if positions else ():
        entry = config["datasets"][name]
        if names_spans(entry):
            continue
        lacking = f"activations.positions: {which} {need} a span of each text, and datasets.{name} names none; "
        if "generator" in entry["source"] or "parser" in entry:
            yield f"{lacking}leave {which} out, or {name} out of `run.datasets`."
        else:
            whole = entry["columns"]["text"]
            yield f"{lacking}add `columns: {{span: ...}}` (`span: {whole}` is the whole text), or leave {which} out."


def _switch_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Find what is wrong with the configuration under each switch; only what the switch sets is checked again."""
    known, said = config["ablation"]["switches"], list(_span_problems(config))
    for name in config["ablation"]["run"]:
        if name not in known:
            close = nearest(name, known)
            yield f"ablation.run: {name!r} does not exist{close}; ablation.switches has {one_of(known)}."
    for name, switch in known.items():
        where = f"ablation.switches.{name}"
        unknown = [
            _no_such(f"{where}.{key}", entry, key, config)
            for key in ("datasets", "perturbations")
            for entry in switch.get(key, {})
            if entry not in config[key]
        ]
        if unknown:
            yield from unknown
            continue
        datasets = {entry: config["datasets"][entry] for entry in switch.get("datasets", {})}
        small = merged({**config, "models": {}, "datasets": datasets}, switch)
        problems = list(_schema_problems(small)) or list(_dataset_option_problems(small))
        problems = problems or [one for one in _span_problems(merged(config, switch)) if one not in said]
        for entry in switch.get("perturbations", {}):
            problems += [] if problems else entry_problems(entry, small["perturbations"][entry], config["datasets"])
        yield from (f"{where}.{problem}" for problem in problems)


def _no_such(where: str, name: str, key: str, config: Mapping[str, Any]) -> str:
    known = list(config[key])
    return f"{where}: {name!r} does not exist{nearest(name, known)}; {key} has {one_of(known)}."


def _published_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Find names that the published numbers do not have: they would be compared with nothing."""
    with PUBLISHED.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for key, column in (("models", "model"), ("datasets", "dataset")):
        known = list(dict.fromkeys(row[column] for row in rows))
        for name, entry in config[key].items():
            published = entry.get("published")
            if published is not None and published not in known:
                close = nearest(published, known)
                yield f"{key}.{name}.published: {published!r} does not exist{close}; allowed are {one_of(known)}."


def _option_problems(
    where: str, key: str, given: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]], positional: int
) -> Iterator[str]:
    """Compare the options of a generator or parser with what its function takes."""
    allowed = list(inspect.signature(functions[given[key]]).parameters)[positional:]
    options = [option for option in given if option != key]
    for option in options:
        if option not in allowed:
            yield f"{where}: unknown key {option!r}{nearest(option, allowed)}; allowed are {one_of([key, *allowed])}."
    for option in allowed:
        if option not in options:
            yield f"{where}: {option!r} is missing."


def _model_problems(config: Mapping[str, Any]) -> Iterator[str]:
    formats = config["run"]["quantizations"]
    for name in config["run"]["models"]:
        entry = config["models"][name]
        path = entry["source"].get("path")
        if path is None or Path(path).is_file():
            continue
        if not Path(path).is_dir():
            yield f"models.{name}.source.path: there is no folder or file {path!r}."
            continue
        if closed := _closed(Path(path)):
            yield f"models.{name}.source.path: you are not allowed to read {closed}; `ls -ld` says whose it is."
            continue
        if importlib.util.find_spec("transformers") is None:  # Each stage may have an environment of its own.
            continue
        own_code = entry.get("trust_remote_code", False)
        try:
            check_folder(name, Path(path), formats=formats, trust_remote_code=own_code)
        except UserError as error:
            yield str(error)


def _closed(folder: Path) -> Path | None:
    """Return the folder, or the first file in it, that may not be read; None if all may be."""
    places = [folder, *sorted(folder.iterdir())] if os.access(folder, os.R_OK | os.X_OK) else [folder]
    return next((place for place in places if not os.access(place, os.R_OK | (os.X_OK * place.is_dir()))), None)
