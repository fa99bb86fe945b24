"""Checking datasets that are local files, or made by code, before any job runs: what they hold, and their splits."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conceptdepth.datasets.statements import Statement, load_statements
from conceptdepth.ground.errors import UserError

TRIED_SEEDS = 50
"""Splits that are tried at most, in each dry run; the data audit makes all of them."""

NEGLIGIBLE = 1e-9
"""A part lacks a class so rarely that splits need not be tried here: scikit-learn takes a second to import."""


def dataset_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with each dataset of the run that need not be fetched."""
    for name in config["run"]["datasets"]:
        entry = config["datasets"][name]
        path = entry["source"].get("path")
        if path is None and "generator" not in entry["source"]:
            continue
        if path is not None and not Path(path).is_file():
            yield f"datasets.{name}.source.path: there is no file {path!r}."
            continue
        try:
            statements = load_statements(name, entry, path)
        except UserError as error:
            yield str(error)
            continue
        try:
            _try_splits(statements, config)
        except UserError as error:
            yield f"datasets.{name}: {error}"


def _try_splits(statements: Sequence[Statement], config: Mapping[str, Any]) -> None:
    """Raise `UserError` if a part or fold of a dataset would lack a class."""
    settings = config["probes"]
    here = importlib.util.find_spec("sklearn") is not None  # Each stage may have an environment of its own.
    if not here or lacking(statements, settings["test_share"]) < NEGLIGIBLE:
        return
    import numpy as np

    from conceptdepth.probes.splits import SplitSettings, check_splits

    check_splits(
        np.array([statement["label"] for statement in statements], dtype=np.int8),
        np.array([statement["group"] for statement in statements], dtype=object),
        SplitSettings(settings["split"], settings["test_share"], settings["seeds"][:TRIED_SEEDS]),
        folds=isinstance(settings["C"], list)
        or bool(config["controls"]["baselines"])
        or config["data_audit"]["policy"] != "off",
    )


def lacking(statements: Sequence[Statement], test_share: float) -> float:
    """Return a bound on how probable it is that a class is in no group of a test part or of half a training part."""
    of_class = [{s["group"] for s in statements if s["label"] == label} for label in (0, 1)]
    groups = len(of_class[0] | of_class[1])
    smallest = int(groups * min(test_share, (1 - test_share) / 2))
    return sum((1 - len(own) / groups) ** smallest for own in of_class)
