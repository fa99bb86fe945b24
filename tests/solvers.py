"""Solvers of the default probe on real vectors: what converges, how long it takes, and what rounding of vectors moves.

It reads the activations of a run with `activations: {sites: [mlp_input, residual]}` on cities and movie snippets:

PYTHONPATH=workflow_scripts python tests/solvers.py
"""

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from conceptdepth.activations.store import open_activations, read_labels
from conceptdepth.probes.estimators import Centred, ProbeSettings, RowSpace, estimator
from conceptdepth.probes.fitting import fit
from conceptdepth.probes.splits import splits_of
from conceptdepth.probes.tasks import Task, tasks_of
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_limits

ACTIVATIONS = Path("results/activations/smollm2-135m/fp32")
CELLS = ("cities.clean", "movie_snippets.noise")
SITES = ("mlp_input", "residual")
EVERY = 5
"""Of so many layers one is taken."""

SETTINGS = ProbeSettings(split="grouped", test_share=0.4, seeds=[42, 43, 44], C=1.0, max_iter=100)
ROUNDING = 1e-7

Probe = Callable[[Task], Pipeline]


def own(task: Task) -> Pipeline:
    """Return the default probe."""
    return estimator("logistic_regression", task, SETTINGS, SETTINGS.choices)


def with_solver(*steps, **settings) -> Probe:
    """Return probes of scikit-learn's logistic regression behind such steps."""
    return lambda _: make_pipeline(*(step() for step in steps), LogisticRegression(**settings))


PROBES: dict[str, tuple[type, Probe]] = {
    "L-BFGS, 100 iterations, float32 (`lbfgs`)": (np.float32, with_solver()),
    "L-BFGS on centred features, float64, tolerance 1e-6": (
        np.float64, with_solver(Centred, tol=1e-6, max_iter=5000),
    ),
    "Newton-CG on features as they are, float64, 1e-6": (
        np.float64, with_solver(FunctionTransformer, solver="newton-cg", tol=1e-6, max_iter=1000),
    ),
    "**Newton-CG on centred features, float64, 1e-6 (`newton`)**": (np.float64, own),
    "Newton with Cholesky factors in the span of the rows": (
        np.float64, with_solver(Centred, RowSpace, solver="newton-cholesky", tol=1e-6),
    ),
}  # fmt: skip
"""Name in the table -> in what precision it reads vectors, and the probe."""


def main() -> None:
    """Print the table of docs/probes.md."""
    print(
        "| solver | site | converged | ms a probe | iterations, most | moved |\n| --- | --- | --- | --- | --- | --- |"
    )
    with threadpool_limits(1):
        for name, (kind, probe) in PROBES.items():
            for site in SITES:
                found = np.array([measure(vectors.astype(kind), task, probe) for vectors, task in problems(site)])
                solved, seconds, iterations, moved = found.T
                print(
                    f"| {name} | `{site}` | {solved.sum():.0f} of {len(found)} | {1000 * seconds.mean():.1f} "
                    f"| {iterations.max():.0f} | {moved.max():.3f} |"
                )


def problems(site: str) -> Iterator[tuple[np.ndarray, Task]]:
    """Yield the vectors of a layer, (n_statements, d_model), and a split, for each layer that is taken."""
    for cell in CELLS:
        with open_activations(ACTIVATIONS / f"{cell}.h5") as file:
            held, vectors = read_labels(file), file["activations"][site]["last"][::EVERY]
        splits = splits_of(held.labels, held.groups, SETTINGS)
        tasks = list(tasks_of(held.labels, held.groups, splits, controls=[], choose=False))
        yield from ((layer, task) for layer in vectors for task in tasks)


def measure(vectors: np.ndarray, task: Task, probe: Probe) -> tuple[float, float, float, float]:
    """Return whether a probe converged, its seconds and iterations, and how far rounding moves its accuracy."""
    rounding = 1 + ROUNDING * np.random.default_rng(0).normal(size=vectors.shape)
    accuracies = []
    for features in ((vectors * rounding).astype(vectors.dtype), vectors):
        pipeline, began = probe(task), time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converged = fit(pipeline, features[task.train], task.labels[task.train])
        seconds = time.perf_counter() - began
        accuracies.append(pipeline.score(features[task.test], task.labels[task.test]))
    return converged, seconds, np.max(pipeline[-1].n_iter_), abs(np.subtract(*accuracies))


if __name__ == "__main__":
    main()
