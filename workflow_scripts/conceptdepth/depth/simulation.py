"""Experiments on synthetic activations whose truth is known, made as the workflow makes them.

Statements are drawn, split and trained on anew in each repetition: what is found in many says what the experiment gives
on average, how far one is from that, and how often its intervals and tests are wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from conceptdepth.depth.drift import transfer
from conceptdepth.depth.estimates import Estimate, estimate
from conceptdepth.depth.resampling import IntervalSettings, resamples
from conceptdepth.probes.estimators import ProbeSettings, estimator
from conceptdepth.probes.fitting import fit
from conceptdepth.probes.predictions import Curve, Split
from conceptdepth.probes.scores import decide
from conceptdepth.probes.splits import splits_of
from conceptdepth.probes.tasks import Task, tasks_of

Values = NDArray[np.float64]
Vectors = NDArray[np.float32]
Labels = NDArray[np.int8]
Groups = NDArray[np.object_]

N_LAYERS = 16

ONSET = 6
"""First layer with a signal, where there is one."""

WORDS = 1.0
"""Strength of the signal in a vector, beside those of the layers, that stands for what words tell."""


@dataclass(frozen=True)
class Case:
    """One kind of experiment."""

    signal: str = "sharp"
    """A name from `signals`."""
    statements: int = 240
    """How many statements are drawn."""
    groups: str = "pairs"
    """``pairs``, ``alone`` (a group for each statement), or ``unequal``: 1 to an eighth of all, a few of them large."""
    labels: str = "opposite"
    """``opposite`` (of pairs), ``free``, or ``of groups``: all statements of a group have the same."""
    ones: float = 0.5
    """Share of class 1 where labels are drawn."""
    d_model: int = 8
    """Length of vectors."""
    heavy_tails: bool = False
    """Whether noise has the tails of Student's t with three degrees of freedom in place of the normal ones."""
    n_splits: int = 3
    """Splits whose accuracies are averaged."""


HARD: dict[str, dict[str, Any]] = {
    "60 statements": {"statements": 60},
    "unequal groups": {"groups": "unequal", "labels": "free"},
    "one label a group": {"groups": "unequal", "labels": "of groups"},
    "more features than statements": {"statements": 120, "d_model": 160},
    "classes 70 to 30": {"groups": "alone", "labels": "free", "ones": 0.7},
    "heavy tails": {"heavy_tails": True},
}
"""What makes statistics fail -> how it differs from pairs of statements with normal noise."""


def cases(statements: int) -> dict[str, Case]:
    """Return the experiments of the table of coverage: every signal on so many statements, and what is hard."""
    easy = {name: Case(name, statements) for name in signals()}
    hard = {name: Case(**changed) for name, changed in HARD.items()}
    nothing = {f"none, {name}": Case("none", **changed) for name, changed in HARD.items()}
    return easy | hard | nothing


def signals() -> dict[str, Values]:
    """Return, by name, the distance of the class means at each layer in standard deviations of the noise."""
    layers = np.arange(N_LAYERS)
    ramp = np.clip((layers - ONSET + 1) / 6, 0, 1)
    fall = np.clip((N_LAYERS - layers) / 6, 0, 1)
    return {
        "sharp": np.where(layers < ONSET, 0.0, 2.5),
        "gradual": 2.5 * ramp,
        "rising and falling": 2.5 * np.minimum(ramp, fall),
        "as good as words": np.full(N_LAYERS, WORDS),
        "none": np.zeros(N_LAYERS),
    }


@dataclass(frozen=True)
class Sample:
    """One draw of statements."""

    layers: Vectors
    """Shape (n_layers, n_statements, d_model)."""
    perturbed: Vectors
    """The same statements with half of the noise drawn anew, as a perturbation does that changes nothing on average."""
    words: Vectors
    """Shape (1, n_statements, d_model): the signal of `WORDS` in noise of its own."""
    labels: Labels
    groups: Groups


def sample(case: Case, seed: int) -> Sample:
    """Draw statements. A group shares half of its noise, as claims about one city do, a layer most of the last's."""
    draw = np.random.default_rng(seed)
    numbers = _groups(case, draw)
    labels = _labels(case, numbers, draw)
    signal = signals()[case.signal]
    own, fresh = _noises(case, numbers, draw), _noises(case, numbers, draw)
    (alone,) = _noises(case, numbers, draw, n_layers=1)
    along = (labels - labels.mean())[:, np.newaxis] * (np.arange(case.d_model) == 0)
    strengths = signal[:, np.newaxis, np.newaxis] * along
    return Sample(
        (own + strengths).astype(np.float32),
        (np.sqrt(0.5) * (own + fresh) + strengths).astype(np.float32),
        (alone + WORDS * along)[np.newaxis].astype(np.float32),
        labels,
        numbers.astype(str).astype(object),
    )


def _groups(case: Case, draw: np.random.Generator) -> NDArray[np.int64]:
    n = case.statements
    if case.groups == "unequal":
        sizes = np.clip(np.exp(draw.normal(1.2, 1.0, size=n)).round(), 1, n // 8).astype(int)
        return np.repeat(np.arange(n), sizes)[:n]
    return np.arange(n) // (2 if case.groups == "pairs" else 1)


def _labels(case: Case, numbers: NDArray[np.int64], draw: np.random.Generator) -> Labels:
    if case.labels == "opposite":
        return np.tile([0, 1], case.statements // 2).astype(np.int8)
    drawn = (draw.random(case.statements) < case.ones).astype(np.int8)
    return drawn[numbers] if case.labels == "of groups" else drawn


def _noises(
    case: Case, numbers: NDArray[np.int64], draw: np.random.Generator, n_layers: int = N_LAYERS
) -> NDArray[np.float64]:
    """Return noise of each layer, shape (n_layers, n_statements, d_model), of variance 1."""
    layers: list[Values] = []
    for _ in range(n_layers):
        shared = _noise(case, numbers.max() + 1, draw)[numbers]
        fresh = np.sqrt(0.5) * (_noise(case, len(numbers), draw) + shared)
        layers.append(np.sqrt(0.8) * layers[-1] + np.sqrt(0.2) * fresh if layers else fresh)
    return np.array(layers)


def _noise(case: Case, n: int, draw: np.random.Generator) -> Values:
    noise = draw.normal(size=(n, case.d_model))
    if not case.heavy_tails:
        return noise
    return noise / np.sqrt(draw.chisquare(3, size=(n, 1)))  # Student's t over the root of its variance, 3.


@dataclass(frozen=True)
class Repetition:
    """What one experiment gives."""

    clean: Estimate
    """Held against the larger class and what words tell."""
    perturbed: Estimate
    transferred: Mapping[str, Values]
    """What the clean probes make of the perturbed vectors, see `conceptdepth.depth.drift.transfer`."""


def repetition(case: Case, seed: int, *, depth: Mapping[str, float], intervals: IntervalSettings) -> Repetition:
    """Draw statements, train probes as the workflow does, and estimate."""
    drawn = sample(case, seed)
    probes = ProbeSettings(split="stratified", test_share=0.4, seeds=range(case.n_splits), C=1.0, max_iter=100)
    splits = splits_of(drawn.labels, drawn.groups, probes)
    tasks = list(tasks_of(drawn.labels, drawn.groups, splits, controls=[], choose=False))
    curves: dict[str, list[Split]] = {"clean": [], "transferred": [], "perturbed": [], "words": []}
    with threadpool_limits(1):
        for task in tasks:
            for name, split in zip(("clean", "transferred"), held_out(drawn.layers, task, probes, drawn.perturbed)):
                curves[name].append(split)
            curves["perturbed"] += held_out(drawn.perturbed, task, probes)
            curves["words"] += held_out(drawn.words, task, probes)
        clean, transferred, perturbed, words = (
            Curve({}, drawn.labels, drawn.groups, tuple(splits)) for splits in curves.values()
        )
        taken = resamples(clean, intervals)
        of_clean, of_perturbed = (
            estimate(curve, taken, baselines={"words": words}, depth=dict(depth), settings=intervals)
            for curve in (clean, perturbed)
        )
        moved = transfer(clean, transferred, perturbed, taken.weights, intervals.level)
        return Repetition(of_clean, of_perturbed, moved)


def held_out(vectors: Vectors, task: Task, probes: ProbeSettings, *others: Vectors) -> list[Split]:
    """Return what the probes of all layers make of a split, and of other vectors of its statements."""
    fitted = []
    for features in vectors:
        probe = estimator("logistic_regression", task, probes, probes.choices)
        fit(probe, features[task.train].astype(np.float64), task.labels[task.train])
        fitted.append(probe)
    return [
        Split(task.test, np.array([decide(p, x[task.test]) > 0 for p, x in zip(fitted, read)], dtype=np.int8))
        for read in (vectors, *others)
    ]


def simulate(
    case: Case,
    *,
    repetitions: int,
    depth: Mapping[str, float],
    intervals: IntervalSettings,
    threads: int = 1,
    title: str = "",
) -> list[Repetition]:
    """Return what many experiments give."""
    return Parallel(n_jobs=threads)(
        delayed(repetition)(case, seed, depth=depth, intervals=intervals)
        for seed in tqdm(range(repetitions), desc=title, unit="draw", mininterval=5)
    )
