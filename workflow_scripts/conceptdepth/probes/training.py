"""Training and testing the probes of one layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.ground.names import CONCEPT
from conceptdepth.probes.description import shortest_code
from conceptdepth.probes.estimators import (
    PENALISED,
    PROBABILISTIC,
    Features,
    ProbeSettings,
    as_reference,
    chosen_C,
    coefficients,
    estimator,
    iterations,
)
from conceptdepth.probes.fitting import fit
from conceptdepth.probes.nuisances import partial_correlation, residuals
from conceptdepth.probes.scores import decide, score
from conceptdepth.probes.tasks import CONTROL_TASK, Task


@dataclass(frozen=True)
class LayerProbe:
    """The probe of one layer and task."""

    kind: str
    """A name from `KINDS`."""
    task: Task
    """What it was trained for."""
    scores: dict[str, Any]
    """A row of ``layer_scores.csv`` without the columns that name the curve."""
    coefficients: NDArray[np.float64] | None
    """Weights of the features as they are in the file, or of what is left of them without nuisances, and, last, the
    intercept, shape (d_model + 1,); None if the probe is not linear."""
    decision: NDArray[np.float64]
    """Of each held-out statement, above 0 for class 1, shape (n_test,); log-odds if the probe has probabilities."""


def train_layer(features: Features, tasks: Sequence[Task], settings: ProbeSettings) -> Iterator[LayerProbe]:
    """Train and test every probe of one layer for every task; ``features`` has the shape (n_statements, d_model).

    Others take the C that was chosen for the concept on the same split: selectivity compares two tasks for one probe,
    and what nuisances do to accuracy is what they do to the features of one probe.
    """
    for kind in settings.kinds:
        read = features if as_reference(kind, settings) else features.astype(np.float64)
        chosen: dict[int, Sequence[float]] = {}
        for task in tasks:
            probe = train_probe(read, task, kind, settings, chosen.get(task.seed, settings.choices))
            if task.target == CONCEPT and settings.choose and kind in PENALISED:
                chosen[task.seed] = [probe.scores["C"]]
            yield probe


def train_probe(
    features: Features, task: Task, kind: str, settings: ProbeSettings, choices: Sequence[float]
) -> LayerProbe:
    """Train and test one probe."""
    nuisances = task.nuisances.at(features) if task.nuisances else None
    if nuisances is not None:
        features = residuals(features, nuisances, task.train).astype(features.dtype)
    pipeline = estimator(kind, task, settings, choices)
    converged = fit(pipeline, features[task.train], task.labels[task.train])
    decision = decide(pipeline, features[task.test])
    labels = task.labels[task.test]
    # Of the control task a training part has one statement of each group: nothing of it tells the next.
    described = settings.description_length and task.target != CONTROL_TASK
    bits = description_length(features[task.train], task, kind, settings) if described else np.nan
    scores = {
        "n_train": len(task.train),
        "n_test": len(task.test),
        **score(labels, decision, has_probabilities=kind in PROBABILISTIC),
        "description_length": bits,
        "compression": len(task.train) / bits,
        "majority": max(np.mean(labels), 1 - np.mean(labels)),
        "C": chosen_C(pipeline),
        "converged": converged,
        "iterations": iterations(pipeline),
    }
    if nuisances is not None:
        scores["partial_correlation"] = partial_correlation(task.labels, decision, nuisances, task.train, task.test)
    return LayerProbe(kind, task, scores, coefficients(pipeline), decision)


def description_length(features: Features, task: Task, kind: str, settings: ProbeSettings) -> float:
    """Return the bits of the online code of a training part, or NaN for a probe without probabilities."""
    if kind not in PROBABILISTIC:
        return float("nan")

    def trained(C: float, seen: Features, labels: NDArray[np.int8], following: Features) -> NDArray[np.float64]:  # noqa: N803
        probe = estimator(kind, replace(task, folds=()), settings, [C])
        fit(probe, seen, labels)
        return decide(probe, following)

    choices = settings.choices if kind in PENALISED else settings.choices[:1]
    decisions = [partial(trained, C) for C in choices]
    return shortest_code(features, task.labels[task.train], task.groups[task.train], decisions, seed=task.seed)
