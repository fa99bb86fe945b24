"""Fitting a probe, and whether its solver got to the end."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from conceptdepth.probes.estimators import NEWTON, SOLVERS, Features, chosen_C

LINE_SEARCH_FAILED = "Line Search failed"
"""What scikit-learn's newton-cg says, in a warning of no class of its own, when it gives up before it has converged."""

NEAR = 0.01
"""How far the weights of a probe that has converged may be from the optimum, as a share of their length."""


def fit(pipeline: Pipeline, features: Features, labels: NDArray[np.int8]) -> bool:
    """Fit a probe and tell whether its solver converged, in every fit that a choice of C takes."""
    newton = getattr(pipeline[-1], "solver", None) == SOLVERS[NEWTON]["solver"]
    if newton:
        pipeline[-1].set_params(tol=tolerance(pipeline, features))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipeline.fit(features, labels)
    complained = any(
        issubclass(warning.category, ConvergenceWarning) or str(warning.message) == LINE_SEARCH_FAILED
        for warning in caught
    )
    return not complained and (not newton or distance(pipeline, features, labels) <= NEAR)


def tolerance(pipeline: Pipeline, features: Features) -> float:
    """Return how large the gradient may be at the end: the larger features are, the smaller weights are, and it."""
    scaled = any(isinstance(step, StandardScaler) and step.with_std for step in pipeline)
    spread = 1.0 if scaled else float(np.sqrt(features.var(axis=0).mean()))
    return SOLVERS[NEWTON]["tol"] / max(1.0, spread)


def distance(pipeline: Pipeline, features: Features, labels: NDArray[np.int8]) -> float:
    """Return a bound on how far a fitted logistic regression is from its optimum, as a share of the weights' length.

    The penalty alone curves the objective by 1 / C along each weight, so the optimum is no farther away than C times
    the length of what is left of the gradient; the intercept, which has no penalty, is taken to be where it should.
    """
    classifier, inner = pipeline[-1], pipeline[:-1].transform(features)
    weights, strength = classifier.coef_[0], 1 / chosen_C(pipeline)
    gradient = inner.T @ (classifier.predict_proba(inner)[:, 1] - labels) + strength * weights
    length = float(np.linalg.norm(weights))
    return float(np.linalg.norm(gradient)) / (strength * length) if length else 0.0
