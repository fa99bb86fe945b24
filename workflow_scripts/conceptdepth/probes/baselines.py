"""What the words of a prompt tell of its label, without a model: classifiers that a probe has to beat.

Each is a logistic regression on the splits of the probes. To make it as strong as it can be, its C is chosen for each
split by validation within the training part, whether or not that is done for probes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from conceptdepth.datasets.ends import first_characters, last_characters
from conceptdepth.datasets.words import WORD
from conceptdepth.probes.estimators import chosen_C
from conceptdepth.probes.scores import decide, negative_log_loss, score
from conceptdepth.probes.splits import Split
from conceptdepth.probes.tasks import Task, tasks_of

CHOICES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Values of C, the inverse strength of the L2 penalty, of which one is chosen."""

MAX_ITER = 1000
"""Most iterations of the solver."""

TOLERANCE = 1e-6
"""Gradient at which the solver stops; scikit-learn's 1e-4 leaves the second digit of log-odds open."""


def lengths(texts: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the number of words and of characters of each text, shape (n_texts, 2)."""
    return np.array([[len(text.split()), len(text)] for text in texts], dtype=float)


def _bag_of_words() -> list[BaseEstimator]:
    return [CountVectorizer(binary=True, token_pattern=WORD)]


def _tf_idf() -> list[BaseEstimator]:
    return [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD)]


def _first_characters() -> list[BaseEstimator]:
    return [CountVectorizer(binary=True, analyzer=first_characters)]


def _last_characters() -> list[BaseEstimator]:
    return [CountVectorizer(binary=True, analyzer=last_characters)]


def _text_length() -> list[BaseEstimator]:
    return [FunctionTransformer(lengths), StandardScaler()]


FEATURES: dict[str, Callable[[], list[BaseEstimator]]] = {
    "bag_of_words": _bag_of_words,
    "tf_idf": _tf_idf,
    "text_length": _text_length,
    "first_characters": _first_characters,
    "last_characters": _last_characters,
}
"""Baseline -> the steps that turn texts into features: which words there are, words and pairs of words weighted by how
rare they are (Sparck Jones 1972), how many words and characters, with which characters a text begins and ends."""


@dataclass(frozen=True)
class BaselineProbe:
    """A baseline on one split."""

    task: Task
    """What it was trained for."""
    scores: dict[str, Any]
    """A row of ``baseline_scores.csv`` without the columns that name it."""
    decision: NDArray[np.float64]
    """Log-odds of class 1 of each held-out text, shape (n_test,)."""


def classifier(name: str, task: Task) -> Pipeline:
    """Return the pipeline of a baseline for a task with folds; it learns from the training part alone."""
    regression = LogisticRegressionCV(
        Cs=list(CHOICES),
        cv=task.folds,
        scoring=negative_log_loss,
        max_iter=MAX_ITER,
        tol=TOLERANCE,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )
    return make_pipeline(*FEATURES[name](), regression)


def train_baseline(name: str, texts: NDArray[np.object_], tasks: Sequence[Task]) -> Iterator[BaselineProbe]:
    """Train and test a baseline on each split; ``texts`` has the shape (n_statements,)."""
    for task in tasks:
        pipeline = classifier(name, task).fit(texts[task.train], task.labels[task.train])
        decision = decide(pipeline, texts[task.test])
        labels = task.labels[task.test]
        scores = {
            "n_train": len(task.train),
            "n_test": len(task.test),
            **score(labels, decision, has_probabilities=True),
            "majority": max(np.mean(labels), 1 - np.mean(labels)),
            "C": chosen_C(pipeline),
        }
        yield BaselineProbe(task, scores, decision)


def held_out_accuracy(
    name: str,
    texts: NDArray[np.object_],
    *,
    labels: NDArray[np.int8],
    groups: NDArray[np.object_],
    splits: Sequence[Split],
) -> float:
    """Return the balanced accuracy of a baseline, mean over the splits; arrays have the shape (n_statements,)."""
    tasks = list(tasks_of(labels, groups, splits, controls=[], choose=True))
    return float(np.mean([probe.scores["balanced_accuracy"] for probe in train_baseline(name, texts, tasks)]))
