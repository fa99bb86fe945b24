"""Decisions of a fitted probe or baseline, and scikit-learn's scores of them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from conceptdepth.probes.description import surprise


def negative_log_loss(model: Any, features: NDArray[Any], labels: NDArray[np.int8]) -> float:
    """Return the score ``neg_log_loss``; scikit-learn's own would take a third of the time of a choice of C."""
    return -log_loss(labels, model.decision_function(features))


def log_loss(labels: NDArray[np.int8], log_odds: NDArray[np.float64]) -> float:
    """Return the mean of -log of the probability of each label, in nats."""
    return surprise(labels, log_odds) * float(np.log(2)) / len(labels)


def decide(pipeline: Pipeline, features: NDArray[Any]) -> NDArray[np.float64]:
    """Return the decision for each statement, shape (n,), above 0 for class 1."""
    if hasattr(pipeline, "decision_function"):
        return pipeline.decision_function(features)
    smallest = np.finfo(float).eps
    probability = np.clip(pipeline.predict_proba(features)[:, 1], smallest, 1 - smallest)
    return np.log(probability) - np.log1p(-probability)


def score(labels: NDArray[np.int8], decision: NDArray[np.float64], *, has_probabilities: bool) -> dict[str, float]:
    """Return scikit-learn's scores of decisions, by the names of ``layer_scores.csv``; labels are of both classes.

    What is a matter of counting is counted here: scikit-learn's checks of its input would take half of the time of a
    probe. The log loss, in nats, takes decisions as log-odds. It is NaN for probes that are not fitted to
    probabilities: a sigmoid of their decision would be one, but of an arbitrary scale.
    """
    predicted = (decision > 0).astype(int)
    return {
        "accuracy": np.mean(predicted == labels),
        "balanced_accuracy": np.mean([np.mean(predicted[labels == label] == label) for label in (0, 1)]),
        "f1": 2 * np.sum(predicted * labels) / np.sum(predicted + labels),
        "auc": roc_auc_score(labels, decision),
        "mcc": matthews_correlation(labels, predicted),
        "log_loss": log_loss(labels, decision) if has_probabilities else np.nan,
    }


def matthews_correlation(labels: NDArray[np.int8], predicted: NDArray[np.int64]) -> float:
    """Return the correlation of labels and predictions, 0 if all predictions are the same."""
    n, ones, called = len(labels), int(labels.sum()), int(predicted.sum())
    spread = ones * (n - ones) * called * (n - called)
    return float((n * int(predicted @ labels) - ones * called) / math.sqrt(spread)) if spread else 0.0
