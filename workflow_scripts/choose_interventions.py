"""Choose layers, statements and directions to change a model along: those of the concept, and controls like them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from concept_erasure import LeaceFitter
from conceptdepth.activations.changes import Changes, write_changes
from conceptdepth.activations.store import open_activations, read_labels, vectors_of
from conceptdepth.depth.definitions import first_where
from conceptdepth.depth.interventions import (
    ADD,
    AGAINST,
    ALONG,
    ERASE,
    LEACE,
    SHUFFLED,
    Change,
    Space,
    asked_statements,
    chosen_layers,
    completeness,
    erasing,
    projecting,
    stepping,
    with_controls,
)
from conceptdepth.depth.resampling import IntervalSettings, p_above_chance, resamples
from conceptdepth.depth.transfer import decide, trained_on
from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CONCEPT
from conceptdepth.probes.estimators import ProbeSettings
from conceptdepth.probes.predictions import LOGISTIC_REGRESSION, Curve, read_coefficients, read_curves
from conceptdepth.probes.tasks import Task, shuffled
from conceptdepth.probes.training import train_probe
from conceptdepth.provenance.job import job, log
from conceptdepth.provenance.record import PREFIX
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits
from tqdm import tqdm

SITE = "residual"
"""Where vectors are changed: what a block gives out, which all blocks above it read."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """The vectors of one layer, and the probe of one split that was trained on some of them."""

    vectors: Values
    """Shape (n_statements, d_model)."""
    coefficients: Values
    """Of the probe, weights and then the intercept, shape (d_model + 1,)."""
    task: Task
    """What it was trained for, and on which statements."""

    @cached_property
    def space(self) -> Space:
        """The vectors that it was trained on."""
        return Space(self.vectors[self.task.train])

    def area_of_new_probe(self, vectors: Values, settings: ProbeSettings) -> float:
        """Return the area under the ROC curve that a new probe of such vectors has on held-out statements."""
        probe = train_probe(vectors, self.task, LOGISTIC_REGRESSION, settings, settings.choices[:1])
        return float(roc_auc_score(self.task.labels[self.task.test], probe.decision))


def probed_curve(probes: str, position: str, kind: str | None) -> tuple[Curve, Sequence[Values]]:
    """Return the curve of a linear probe of the residual stream, and its coefficients by split.

    ``kind`` is the probe's (None: the first linear one of the file). Raises `UserError` if there is none.
    """
    curves = [curve for curve in read_curves(probes, decisions=True) if curve.names["site"] == SITE]
    curves = [curve for curve in curves if curve.names["position"] == position]
    for curve in curves:
        coefficients = read_coefficients(probes, SITE, position, curve.names["probe"])
        if coefficients is not None and kind in (None, curve.names["probe"]):
            return curve, coefficients
    found = one_of([curve.names["probe"] for curve in curves]) if curves else "none"
    raise UserError(f"causal: {probes} has no {kind or 'linear'} probe of residual at {position} (probes: {found}).")


def changes_of(
    layer: Layer, drawn: Values, settings: Mapping[str, Any], probe: ProbeSettings, kind: str
) -> list[Change]:
    """Return all changes of one layer and split, in an order that is the same for each.

    ``drawn`` are random numbers that controls are made of, (n, d_model), the same for all layers and splits.
    """
    space, task = layer.space, layer.task
    labels = shuffled(task.labels, (task.train, task.test), task.seed)
    lost = train_probe(layer.vectors, replace(task, target=SHUFFLED, labels=labels), kind, probe, probe.choices[:1])
    assert lost.coefficients is not None
    own, other = _unit(layer.coefficients[:-1]), _unit(lost.coefficients[:-1])
    found = list[Change]()
    if ERASE in settings["methods"]:
        found += with_controls(space, erasing(space, CONCEPT, own), drawn)
        found.append(erasing(space, SHUFFLED, other))
    if LEACE in settings["methods"]:
        found += with_controls(space, projecting(space, CONCEPT, *leace(space, task.labels[task.train])), drawn)
        found.append(projecting(space, SHUFFLED, *leace(space, labels[task.train])))
    if ADD in settings["methods"]:
        far = settings["deviations"]
        found += with_controls(space, stepping(space, CONCEPT, own, far, AGAINST), drawn)
        found.append(stepping(space, SHUFFLED, other, far, AGAINST))
        found += [stepping(space, name, each, far, ALONG) for name, each in ((CONCEPT, own), (SHUFFLED, other))]
    return found


def _unit(direction: Values) -> Values:
    length = np.linalg.norm(direction)
    return direction / length if length else direction


def leace(space: Space, labels: NDArray[np.int8]) -> tuple[Values, Values]:
    """Return what least-squares concept erasure reads and writes, each (d_model,); both are 0 if nothing is to erase.

    Without the constraint on the trace, under which the library no longer erases a concept whole.
    """
    fitter = LeaceFitter.fit(
        torch.from_numpy(space.vectors), torch.from_numpy(labels.astype(float)), constrain_cov_trace=False
    )
    eraser = fitter.eraser
    return eraser.proj_right[0].numpy(), eraser.proj_left[:, 0].numpy()


def facts_of(layer: Layer, changes: Sequence[Change], settings: ProbeSettings) -> Iterator[dict[str, Any]]:
    """Yield what changes along the concept do to held-out vectors of their layer: to new probes, or to the own one.

    Of erasures ``auc_before`` and ``auc_after`` are areas under the ROC curve of a new probe, of steps
    ``told_otherwise`` is of how many of the statements that it could move the probe then tells the other class.
    """
    task, size = layer.task, np.linalg.norm(layer.space.vectors, axis=1).mean()
    before = layer.area_of_new_probe(layer.vectors, settings)
    for change in changes:
        changed = change.of(layer.vectors, task.labels)
        facts = {
            "method": change.method,
            "share_of_variance": layer.space.share(_unit(change.write)),
            "relative_change": np.linalg.norm(changed[task.train] - layer.space.vectors, axis=1).mean() / size,
        }
        if change.method in (ERASE, LEACE):
            yield facts | {"auc_before": before, "auc_after": layer.area_of_new_probe(changed, settings)}
        else:
            yield facts | {"told_otherwise": told_otherwise(layer, changed, towards=change.method == ALONG)}


def told_otherwise(layer: Layer, changed: Values, *, towards: bool) -> float:
    """Return of how many held-out statements the probe tells another class than before: one that is right, or wrong.

    Of steps towards the class it is a share of those that were told wrongly, of others of those that were told rightly.
    """
    test, right = layer.task.test, layer.task.labels[layer.task.test] == 1
    before, after = ((decide(values[test], layer.coefficients) > 0) == right for values in (layer.vectors, changed))
    asked = before != towards
    return float(np.mean((before != after)[asked])) if asked.any() else np.nan


def choose_interventions(
    activations: str,
    probes: str,
    *,
    settings: Mapping[str, Any],
    probe: ProbeSettings,
    intervals: IntervalSettings,
) -> tuple[Changes, pd.DataFrame]:
    """Return the changes of a cell, and a row for each of those along the concept, by layer; means over splits."""
    curve, coefficients = probed_curve(probes, settings["position"], settings.get("probe"))
    kind, n_layers = curve.names["probe"], len(coefficients[0])
    chance = p_above_chance(curve, resamples(curve, intervals).permuted)
    onset = first_where(chance <= 1 - intervals.level)
    layers = chosen_layers(n_layers, settings["every"], None if np.isnan(onset) else int(onset))
    tested = [split.test for split in curve.splits]
    asked, split_of = asked_statements(
        curve.labels, curve.group_numbers, tested, settings["statements"], settings["seed"]
    )
    if len(set(curve.labels[asked].tolist())) < 2:
        raise UserError(
            f"causal: no split of {probes} holds out whole groups of both classes, on which alone effects are "
            "measured; set `probes.split: grouped`."
        )
    tasks = [
        Task(CONCEPT, number, trained_on(curve, split), split.test, curve.labels, curve.groups)
        for number, split in enumerate(curve.splits)
    ]
    made, rows = list[list[list[Change]]](), list[dict[str, Any]]()
    size = (settings["random_directions"], coefficients[0].shape[1] - 1)
    drawn = np.random.default_rng(settings["seed"]).normal(size=size)
    with open_activations(activations) as source:
        if not np.array_equal(read_labels(source).labels, curve.labels):
            raise ValueError(f"{activations} and {probes} are of other statements")
        place = vectors_of(source)[SITE, settings["position"]]
        for number in tqdm(layers, unit="layer", mininterval=5):
            vectors = place[number].astype(np.float64)
            of_splits = [Layer(vectors, own[number], task) for own, task in zip(coefficients, tasks)]
            made.append([changes_of(layer, drawn, settings, probe, kind) for layer in of_splits])
            facts = [
                fact
                for layer, changes in zip(of_splits, made[-1])
                for fact in facts_of(layer, [each for each in changes if each.direction == CONCEPT], probe)
            ]
            means = pd.DataFrame(facts).groupby("method", sort=False).mean().reset_index()
            means["completeness"] = completeness(means, known=bool(chance[number] <= 1 - intervals.level))
            rows += [{"layer": number, **row} for row in means.to_dict("records")]
    named = {**curve.names, "onset_of_probe": onset, "n_layers": n_layers}
    changes = Changes(
        read=_stacked(made, "read"),
        write=_stacked(made, "write"),
        at=_stacked(made, "at"),
        layers=np.array(layers, dtype=np.int32),
        methods=[change.method for change in made[0][0]],
        directions=[change.direction for change in made[0][0]],
        statements=asked,
        splits=split_of,
        position=settings["position"],
    )
    return changes, pd.DataFrame([{**named, **row} for row in rows])


def _stacked(made: Sequence[Sequence[Sequence[Change]]], what: str) -> NDArray[np.float32]:
    values = [[[getattr(change, what) for change in changes] for changes in of_layer] for of_layer in made]
    return np.array(values, dtype=np.float32)


if __name__ == "__main__":
    with job(snakemake) as record, threadpool_limits(snakemake.threads):
        changes, facts = choose_interventions(
            snakemake.input.activations,
            snakemake.input.probes,
            settings=snakemake.params.causal,
            probe=replace(ProbeSettings(**snakemake.params.probes), description_length=False),
            intervals=IntervalSettings(**snakemake.params.intervals),
        )
        log.info("%d statements are asked, of %d layers", len(changes.statements), len(changes.layers))
        with complete_file(snakemake.output.changes) as part:
            write_changes(part, changes, PREFIX + record.id)
        with complete_file(snakemake.output.facts) as part:
            facts.to_csv(part, index=False, na_rep="NaN")
