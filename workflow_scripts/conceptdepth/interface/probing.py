"""Probes of own vectors, with the code and the settings of a run, for a first look without Snakemake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from conceptdepth.configuration.schema import filled, on_top_of_files, validator
from conceptdepth.configuration.sentences import sentence
from conceptdepth.depth.estimates import estimate, with_intervals
from conceptdepth.depth.resampling import IntervalSettings, resamples
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import CONCEPT, LAST
from conceptdepth.interface.cell import held_out
from conceptdepth.interface.choosing import plain, rows_with
from conceptdepth.interface.curves import mean_curves
from conceptdepth.interface.vectors import Vectors
from conceptdepth.probes.estimators import ProbeSettings
from conceptdepth.probes.layers import rows_of, train_layers, with_selectivity
from conceptdepth.probes.predictions import Curve, Split
from conceptdepth.probes.splits import splits_of
from conceptdepth.probes.tasks import tasks_of
from conceptdepth.probes.training import LayerProbe


@dataclass(frozen=True)
class Statements:
    """What is probed."""

    vectors: Any
    """Shape (n_layers, n_statements, d_model)."""
    labels: NDArray[np.int8]
    """0 or 1, shape (n_statements,)."""
    groups: NDArray[np.object_]
    """Those of one group are held out together, shape (n_statements,)."""
    ids: NDArray[np.object_]
    """Names, shape (n_statements,)."""


@dataclass(frozen=True)
class Probes:
    """Probes of all layers, trained and tested on every split."""

    scores: pd.DataFrame
    """A row for each probe: the columns of ``layer_scores.csv`` from ``site`` on."""
    settings: ProbeSettings
    """How they were split and trained."""
    trained: Mapping[tuple[str, str, int], Sequence[LayerProbe]]
    """By kind, target and seed, the probe of each layer."""
    own: Statements
    """What they were trained and tested on."""
    site: str
    position: str

    def __repr__(self) -> str:
        """Say what was probed, how and how often; the probes themselves are many pages."""
        n_layers, n_statements, _ = self.own.vectors.shape
        settings = f"{', '.join(self.settings.kinds)}; seeds {', '.join(map(str, self.settings.seeds))}"
        where = f"{self.site}, {self.position}"
        return f"Probes of {n_layers} layers on {n_statements} statements at {where}: {settings}"

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Scores of the concept by layer, means over splits: see `conceptdepth.interface.curves.mean_curves`."""
        return mean_curves(self.scores[self.scores["target"] == CONCEPT])

    def statements(self, probe: str | None = None, *, layer: int | None = None) -> pd.DataFrame:
        """Return a row for each split, layer and held-out statement, as `Results.statements` does, without texts."""
        rows = held_out(self._curve(probe))
        return rows_with(rows, {"layer": layer}, "what was probed").reset_index(drop=True)

    def coefficients(self, probe: str | None = None, *, seed: int | None = None) -> NDArray[np.float64] | None:
        """Return the weights of vectors as they are and, last, the intercept: (n_layers, d_model + 1), of one split.

        None of a probe that is not linear. The first kind and the first seed are taken unless others are asked for.
        """
        kind = self._kind(probe)
        chosen = self.settings.seeds[0] if seed is None else seed
        if chosen not in self.settings.seeds:
            raise UserError(f"there is no split {chosen}; there are {', '.join(map(str, self.settings.seeds))}.")
        found = [one.coefficients for one in self.trained[kind, CONCEPT, chosen]]
        return None if any(one is None for one in found) else np.stack(found)  # type: ignore[arg-type]

    def depth(self, probe: str | None = None) -> pd.Series:
        """Return depths, accuracies and intervals of one curve, by the columns of ``concept_depth.csv``.

        Thresholds, draws and level are those of the default configuration. Nothing is known here of words: the
        baseline is always to name the larger class. P values are those of one curve, not adjusted for several.
        """
        chosen = defaults()
        settings = IntervalSettings(**chosen["intervals"])
        curve = self._curve(probe)
        found = estimate(curve, resamples(curve, settings), depth=chosen["depth"], settings=settings)
        return pd.Series(with_intervals(found, settings.level))

    def _kind(self, probe: str | None) -> str:
        known = pd.DataFrame({"probe": list(self.settings.kinds)})
        return str(rows_with(known, {"probe": probe}, "what was probed")["probe"].iloc[0])

    def _curve(self, probe: str | None) -> Curve:
        """Return a curve of the concept, its splits in the order in which files of probes have them."""
        kind = self._kind(probe)
        splits = tuple(_split(self.trained[kind, CONCEPT, seed], seed) for seed in sorted(self.settings.seeds, key=str))
        names = {"site": self.site, "position": self.position, "probe": kind}
        return Curve(names, self.own.labels, self.own.groups, splits, self.position, self.own.ids)


def probe(
    vectors: Vectors | ArrayLike,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    *,
    site: str = "mlp_input",
    position: str = LAST,
    controls: Sequence[str] = (),
    threads: int = 1,
    **settings: Any,
) -> Probes:
    """Train and test a probe of each layer, kind and split, as a run does.

    ``vectors`` are `Vectors`, of which ``site`` and ``position`` choose, or an array (n_layers, n_statements, d_model);
    ``labels`` are 0 or 1, shape (n_statements,), and statements of one of ``groups`` are held out together (None: those
    of the vectors, or each statement is one). ``settings`` are keys of the section ``probes`` of the configuration:
    ``kinds``, ``split``, ``test_share``, ``seeds``, ``C``, ``solver``, ``max_iter``, ``standardize``,
    ``description_length``; the others are those of the default configuration. ``controls`` are ``shuffled_labels`` and
    ``control_task``. Raises `UserError` for settings that do not exist, for what does not fit together, and if a part
    of a split would lack a class.
    """
    chosen, targets = checked_settings(settings, controls)
    own = statements_of(vectors, labels, groups, site, position)
    splits = splits_of(own.labels, own.groups, chosen)
    tasks = list(tasks_of(own.labels, own.groups, splits, controls=targets, choose=chosen.choose))
    trained = list(zip(*train_layers(own.vectors, tasks, chosen, threads, f"{site}, {position}")))
    names = {"site": site, "position": position}
    rows = [row for layers in trained for row in _rows(layers, names)]
    by_name = {(layers[0].kind, layers[0].task.target, layers[0].task.seed): layers for layers in trained}
    return Probes(with_selectivity(pd.DataFrame(rows)), chosen, by_name, own, site, position)


def _rows(layers: Sequence[LayerProbe], names: Mapping[str, str]) -> list[dict[str, Any]]:
    task = layers[0].task
    return rows_of(layers, {**names, "probe": layers[0].kind, "target": task.target}, task.seed)


def statements_of(
    vectors: Vectors | ArrayLike, labels: ArrayLike | None, groups: ArrayLike | None, site: str, position: str
) -> Statements:
    """Return what is probed. Raises `UserError` for what is no number, or of shapes that do not fit together."""
    held = vectors if isinstance(vectors, Vectors) else None
    array: Any = held.at(site=site, position=position) if held else np.asarray(vectors)
    if array.ndim != 3 or 0 in array.shape or array.dtype.kind not in "fiu":
        of = f"{array.dtype} of shape {array.shape}"
        raise UserError(f"vectors are numbers of shape (n_layers, n_statements, d_model), and these are {of}.")
    if not all(np.isfinite(layer).all() for layer in array):
        raise UserError("vectors are finite numbers, and of these some are not.")
    n = array.shape[1]
    labels = held.labels if held and labels is None else labels
    if labels is None:
        raise UserError("there are no labels: 0 or 1 of each statement.")
    groups = held.groups if held and groups is None else groups
    classes, own = np.asarray(labels), np.arange(n) if groups is None else np.asarray(groups, dtype=object)
    for name, values in (("labels", classes), ("groups", own)):
        if values.shape != (n,):
            raise UserError(f"{name} are one of each statement, shape ({n},), and these are of shape {values.shape}.")
    if missing := np.flatnonzero(pd.isna(own)).tolist():
        raise UserError(f"groups: number {missing[0]} is missing; give one for each statement.")
    if not np.isin(classes, (0, 1)).all():
        raise UserError("labels are 0 or 1, and of these some are not.")
    ids = held.ids if held else np.arange(n).astype(str).astype(object)
    return Statements(array, classes.astype(np.int8), own.astype(str).astype(object), ids)


def checked_settings(settings: Mapping[str, Any], controls: Sequence[str]) -> tuple[ProbeSettings, list[str]]:
    """Return settings on top of the default ones, and controls. Raises `UserError` for what the schema does not allow.

    Lists may be anything that is listed: tuples, ranges, arrays.
    """
    given = {name: plain(value) for name, value in settings.items()}
    whole = {"probes": defaults()["probes"] | given, "controls": {"targets": plain(controls)}}
    for error in validator().iter_errors(whole):
        if error.absolute_path:  # Other sections are missing.
            raise UserError(sentence(error))
    return ProbeSettings(**whole["probes"]), whole["controls"]["targets"]


def defaults() -> dict[str, Any]:
    """Return the default configuration: what its files say, on top of what the schema says."""
    return filled(on_top_of_files({}))


def _split(layers: Sequence[LayerProbe], seed: int) -> Split:
    decision = np.stack([one.decision for one in layers])
    converged = np.array([one.scores["converged"] for one in layers], dtype=bool)
    return Split(layers[0].task.test, (decision > 0).astype(np.int8), converged, decision, seed)
