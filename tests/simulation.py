"""Depth estimators on synthetic activations whose truth is known: bias, and how often intervals hold the truth.

    PYTHONPATH=workflow_scripts python tests/simulation.py        # --help: repetitions, statements

The table in docs/depth.md is what it prints.
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from conceptdepth.depth import describe_curve
from conceptdepth.estimates import Estimate, IntervalSettings, estimate, resamples
from conceptdepth.predictions import Curve, Split
from conceptdepth.probes import ProbeSettings, train_layer
from conceptdepth.resampling import interval
from conceptdepth.splits import splits_of
from conceptdepth.tasks import tasks_of
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

N_LAYERS, D_MODEL = 16, 8
ONSET = 6
"""First layer with a signal, where there is one."""

DEPTH = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95}
PROBES = ProbeSettings(split="stratified", test_share=0.4, seeds=[1, 2, 3], C=1.0, max_iter=100)


def signals() -> Mapping[str, NDArray[np.float64]]:
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


def activations(
    signal: NDArray[np.float64], *, n_pairs: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.object_]]:
    """Return vectors, shape (n_layers, 2 * n_pairs, d_model), labels and groups of statements in pairs.

    A pair shares half of its noise, as two claims about one city do, and a layer most of that of the layer before.
    """
    draw = np.random.default_rng(seed)
    labels, groups = np.tile([0, 1], n_pairs).astype(np.int8), np.repeat(np.arange(n_pairs), 2).astype(str)
    noise = np.zeros((2 * n_pairs, D_MODEL))
    vectors = []
    for strength in signal:
        own, shared = (
            draw.normal(size=(2 * n_pairs, D_MODEL)),
            np.repeat(draw.normal(size=(n_pairs, D_MODEL)), 2, axis=0),
        )
        fresh = np.sqrt(0.5) * (own + shared)
        noise = np.sqrt(0.8) * noise + np.sqrt(0.2) * fresh if vectors else fresh
        vectors.append(noise + strength * (labels[:, np.newaxis] - 0.5) * (np.arange(D_MODEL) == 0))
    return np.array(vectors, dtype=np.float32), labels, groups.astype(object)


def repetition(signal: NDArray[np.float64], *, n_pairs: int, seed: int, settings: IntervalSettings) -> Estimate:
    """Return the estimates from one draw of statements, probes trained as the workflow trains them."""
    vectors, labels, groups = activations(signal, n_pairs=n_pairs, seed=seed)
    tasks = list(tasks_of(labels, groups, splits_of(labels, groups, PROBES), controls=[], test_share=0.4, choose=False))
    with threadpool_limits(1):
        by_layer = [list(train_layer(features, tasks, PROBES)) for features in vectors]
    splits = tuple(
        Split(task.test, np.array([probes[number].decision > 0 for probes in by_layer], dtype=np.int8))
        for number, task in enumerate(tasks)
    )
    curve = Curve({}, labels, groups, splits)
    return estimate(curve, resamples(curve, settings), depth=DEPTH, settings=settings)


def simulate(
    signal: NDArray[np.float64], *, repetitions: int, n_pairs: int, settings: IntervalSettings, jobs: int = 1
) -> list[Estimate]:
    """Return the estimates of many draws of statements."""
    calls = (
        delayed(repetition)(signal, n_pairs=n_pairs, seed=seed, settings=settings)
        for seed in tqdm(range(repetitions), mininterval=5)
    )
    return Parallel(n_jobs=jobs)(calls)


def truth(found: Sequence[Estimate]) -> dict[str, float]:
    """Return what is estimated: each quantity of the expected curve, the mean over all draws of statements."""
    expected = np.mean([one.layers["accuracy"] for one in found], axis=0)
    error = np.mean([one.layers["standard_error"] for one in found], axis=0)
    quantities = describe_curve(expected, standard_error=error, **DEPTH)
    at_peak = {"held_out_peak_accuracy": quantities["peak_accuracy"], "mean_accuracy": expected.mean()}
    return {name: float(value) for name, value in (quantities | at_peak).items()}


def table(found: Sequence[Estimate], settings: IntervalSettings) -> pd.DataFrame:
    """Return, for each quantity, truth, mean estimate, spread, and the share of intervals that hold the truth."""
    rows = []
    for name, true in truth(found).items():
        values = np.array([one.values[name] for one in found])
        bounds = np.array([interval(one.draws[name], settings.level) for one in found])
        defined = ~np.isnan(values)
        inside = (bounds[:, 0] <= true + 1e-9) & (true - 1e-9 <= bounds[:, 1])
        rows.append({
            "quantity": name, "truth": true, "mean": values[defined].mean() if defined.any() else np.nan,
            "spread": values[defined].std() if defined.any() else np.nan, "defined": defined.mean(),
            "width": np.nanmean(bounds[:, 1] - bounds[:, 0]) if defined.any() else np.nan,
            "coverage": inside.mean() if np.isfinite(true) else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows)


def first_above_chance(found: Sequence[Estimate], onset: float) -> tuple[float, float, float]:
    """Return how often any layer is called above chance, how often one before the onset, and the median first layer."""
    first = np.array([one.facts["first_above_chance"] for one in found])
    called = ~np.isnan(first)
    return called.mean(), (first < onset).mean(), np.median(first[called]) if called.any() else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=250, help="two statements each, of which 40 %% are tested")
    arguments = parser.parse_args()
    settings = IntervalSettings(level=0.95, draws=500, permutations=199, seed=0, correction="bh")
    for shape, signal in signals().items():
        found = simulate(signal, repetitions=arguments.repetitions, n_pairs=arguments.pairs, settings=settings, jobs=2)
        onset = ONSET / N_LAYERS if signal.any() else 1.0
        called, early, median = first_above_chance(found, onset)
        print(f"\n{shape}, onset {onset:.3f}: above chance in {called:.1%}, before it {early:.1%}, median {median:.3f}")
        print(table(found, settings).to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
