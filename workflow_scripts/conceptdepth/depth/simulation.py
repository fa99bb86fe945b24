"""Depth estimators on synthetic activations whose truth is known: bias, and how often intervals hold the truth.

Curves are made as the workflow makes them, by probes on held-out statements, of vectors with a signal whose first layer
is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from conceptdepth.depth.definitions import describe_curve
from conceptdepth.depth.estimates import Estimate, IntervalSettings, estimate, resamples
from conceptdepth.depth.resampling import interval
from conceptdepth.probes.estimators import ProbeSettings, estimator
from conceptdepth.probes.predictions import Curve, Split
from conceptdepth.probes.scores import decide
from conceptdepth.probes.splits import splits_of
from conceptdepth.probes.tasks import Task, tasks_of

Values = NDArray[np.float64]

N_LAYERS, D_MODEL = 16, 8

ONSET = 6
"""First layer with a signal, where there is one."""

PROBES = ProbeSettings(split="stratified", test_share=0.4, seeds=[1, 2, 3], C=1.0, max_iter=100)


@dataclass(frozen=True)
class Simulation:
    """How curves are drawn and estimated."""

    pairs: int
    """Pairs of statements, one of each class; of their statements 40 % are tested."""
    depth: Mapping[str, float]
    """The config section ``depth``."""
    intervals: IntervalSettings
    """Level, draws and permutations of each estimate."""


def signals() -> dict[str, Values]:
    """Return, by name, the distance of the class means at each layer in standard deviations of the noise."""
    layers = np.arange(N_LAYERS)
    ramp = np.clip((layers - ONSET + 1) / 6, 0, 1)
    fall = np.clip((N_LAYERS - layers) / 6, 0, 1)
    return {
        "sharp": np.where(layers < ONSET, 0.0, 2.5),
        "gradual": 2.5 * ramp,
        "rising and falling": 2.5 * np.minimum(ramp, fall),
        "none": np.zeros(N_LAYERS),
    }


def onset(signal: Values) -> float:
    """Return the relative depth of the first layer with a signal, NaN without one."""
    return ONSET / N_LAYERS if signal.any() else np.nan


def activations(
    signal: Values, *, pairs: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.object_]]:
    """Return vectors, shape (n_layers, 2 * pairs, d_model), labels and groups of statements in pairs.

    A pair shares half of its noise, as two claims about one city do, and a layer most of that of the layer before.
    """
    draw = np.random.default_rng(seed)
    labels, groups = np.tile([0, 1], pairs).astype(np.int8), np.repeat(np.arange(pairs), 2).astype(str)
    noise = np.zeros((2 * pairs, D_MODEL))
    vectors: list[Values] = []
    for strength in signal:
        own = draw.normal(size=(2 * pairs, D_MODEL))
        shared = np.repeat(draw.normal(size=(pairs, D_MODEL)), 2, axis=0)
        fresh = np.sqrt(0.5) * (own + shared)
        noise = np.sqrt(0.8) * noise + np.sqrt(0.2) * fresh if vectors else fresh
        vectors.append(noise + strength * (labels[:, np.newaxis] - 0.5) * (np.arange(D_MODEL) == 0))
    return np.array(vectors, dtype=np.float32), labels, groups.astype(object)


def repetition(signal: Values, simulation: Simulation, seed: int) -> Estimate:
    """Return the estimates from one draw of statements, probes trained as the workflow trains them."""
    vectors, labels, groups = activations(signal, pairs=simulation.pairs, seed=seed)
    splits = splits_of(labels, groups, PROBES)
    tasks = list(tasks_of(labels, groups, splits, controls=[], test_share=PROBES.test_share, choose=False))
    with threadpool_limits(1):
        curve = Curve({}, labels, groups, tuple(held_out(vectors, task) for task in tasks))
        taken = resamples(curve, simulation.intervals)
        return estimate(curve, taken, depth=dict(simulation.depth), settings=simulation.intervals)


def held_out(vectors: NDArray[np.float32], task: Task) -> Split:
    """Return what the probes of all layers make of a split, without the scores that take longer than the probes."""
    predicted = []
    for features in vectors:
        probe = estimator("logistic_regression", task, PROBES, PROBES.choices)
        probe.fit(features[task.train], task.labels[task.train])
        predicted.append(decide(probe, features[task.test]) > 0)
    return Split(task.test, np.array(predicted, dtype=np.int8))


def simulate(
    signal: Values, simulation: Simulation, *, repetitions: int, threads: int = 1, title: str = ""
) -> list[Estimate]:
    """Return the estimates of many draws of statements."""
    return Parallel(n_jobs=threads)(
        delayed(repetition)(signal, simulation, seed)
        for seed in tqdm(range(repetitions), desc=title, unit="draw", mininterval=5)
    )


def truth(found: Sequence[Estimate], depth: Mapping[str, float]) -> dict[str, float]:
    """Return what is estimated: each quantity of the expected curve, the mean over all draws of statements."""
    expected = np.mean([one.layers["accuracy"] for one in found], axis=0)
    error = np.mean([one.layers["standard_error"] for one in found], axis=0)
    quantities = describe_curve(expected, standard_error=error, **depth)
    at_peak = {"held_out_peak_accuracy": quantities["peak_accuracy"], "mean_accuracy": expected.mean()}
    return {name: float(value) for name, value in (quantities | at_peak).items()}


def coverage(found: Sequence[Estimate], simulation: Simulation, *, first_layer: float) -> pd.DataFrame:
    """Return a row for each quantity: truth, and mean, spread and intervals of its estimates.

    ``too_early`` is the share of estimates before the truth, ``coverage`` that of intervals that hold it. The row
    ``first_above_chance``, which has no interval, is held against the first layer with a signal.
    """
    rows = [
        _row(
            name,
            true,
            np.array([one.values[name] for one in found]),
            np.array([interval(one.draws[name], simulation.intervals.level) for one in found]),
        )
        for name, true in truth(found, simulation.depth).items()
    ]
    first = np.array([one.facts["first_above_chance"] for one in found])
    rows.append(_row("first_above_chance", first_layer, first, np.full((len(found), 2), np.nan)))
    return pd.DataFrame(rows)


def _row(quantity: str, true: float, values: Values, bounds: Values) -> dict[str, object]:
    known, bounded = values[~np.isnan(values)], ~np.isnan(bounds).any(axis=1)
    low, high = bounds[bounded].T
    holds = (low <= true + 1e-9) & (true - 1e-9 <= high)
    exists = np.isfinite(true)
    return {
        "quantity": quantity,
        "truth": true,
        "mean": known.mean() if len(known) else np.nan,
        "median": np.median(known) if len(known) else np.nan,
        "spread": known.std() if len(known) else np.nan,
        "defined": len(known) / len(values),
        "too_early": (known < true - 1e-9).sum() / len(values) if exists else np.nan,
        "interval_width": (high - low).mean() if bounded.any() else np.nan,
        "coverage": holds.sum() / len(values) if exists and bounded.any() else np.nan,
    }
