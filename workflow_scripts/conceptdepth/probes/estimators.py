"""The probes: which classifier is trained on the activations of a layer, and how it is set.

The default is the probe of the reference code (Jin et al., arXiv 2404.07066), L2 logistic regression without scaling,
solved to the end. Every probe is a scikit-learn pipeline: `estimator` says of which steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeClassifier, RidgeClassifierCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from conceptdepth.probes.scores import negative_log_loss
from conceptdepth.probes.splits import SplitSettings
from conceptdepth.probes.tasks import Task

Features = NDArray[np.floating]

NEWTON, LBFGS = "newton", "lbfgs"

SOLVERS: dict[str, dict[str, Any]] = {NEWTON: {"solver": "newton-cg", "tol": 1e-6}, LBFGS: {"solver": "lbfgs"}}
"""Solver of logistic regression -> scikit-learn's arguments for it; docs/probes.md says why."""

HIDDEN_UNITS = 32
"""Width of the one hidden layer of the probe ``mlp``."""


@dataclass(frozen=True)
class ProbeSettings(SplitSettings):
    """How probes are split and trained; the config section ``probes``."""

    C: float | Sequence[float]  # noqa: N815 - scikit-learn's name
    """Inverse strength of the L2 penalty, or values of which one is chosen for each layer and split."""
    max_iter: int
    """Most iterations of the solver."""
    solver: str = NEWTON
    """How logistic regression is solved, a name from `SOLVERS`."""
    kinds: Sequence[str] = ("logistic_regression",)
    """Probes to train, names from `KINDS`."""
    standardize: bool = False
    """Whether features get mean 0 and variance 1 in the training part."""
    description_length: bool = False
    """Whether to compute description lengths, of probes that have probabilities."""

    @property
    def choices(self) -> Sequence[float]:
        """The values of C, one if there is no choice."""
        return [self.C] if isinstance(self.C, int | float) else self.C

    @property
    def choose(self) -> bool:
        """Whether C is chosen."""
        return len(self.choices) > 1


class RowSpace(TransformerMixin, BaseEstimator):
    """Coordinates in the span of the training rows where these are fewer than features; else features as they are.

    Weights under an L2 penalty lie in the span of the training rows (the representer theorem), whose coordinates are
    those of an orthonormal basis: the same loss, the same penalty and so the same decisions, from (n, n) numbers in
    place of (n, d). At d = 5,120 and n = 240 that is a twentieth of the work.
    """

    def fit(self, features: Features, labels: object = None) -> Self:  # noqa: ARG002 - scikit-learn's form
        """Find a basis, shape (d_model, n_train), or None."""
        n, d = features.shape
        self.basis_ = np.linalg.qr(features.T).Q if n < d else None
        return self

    def transform(self, features: Features) -> Features:
        """Return coordinates, shape (n, n_train), or the features themselves."""
        return features if self.basis_ is None else features @ self.basis_


class Centred(TransformerMixin, BaseEstimator):
    """Features without their mean in the training part.

    Of a probe this moves the intercept, which has no penalty, and nothing else; far from 0 its problem is
    ill-conditioned. scikit-learn's scaler does the same, and its checks take longer than that.
    """

    def fit(self, features: Features, labels: object = None) -> Self:  # noqa: ARG002 - scikit-learn's form
        """Take the mean of each feature."""
        self.mean_ = features.mean(axis=0)
        return self

    def transform(self, features: Features) -> Features:
        """Return features from their mean."""
        return features - self.mean_


class MassMean(ClassifierMixin, BaseEstimator):
    """The difference of the class means (Marks and Tegmark 2023, arXiv 2310.06824), cut halfway between them.

    It has nothing to tune or to overfit with, and its direction moved their models' answers most. That paper's form for
    data like the training part's, which also divides by the covariance, is linear discriminant analysis.
    """

    def fit(self, features: Features, labels: NDArray[np.int8]) -> Self:
        """Take the means of both classes, labelled 0 and 1."""
        self.classes_ = np.array([0, 1])
        means = [features[labels == label].mean(axis=0) for label in (0, 1)]
        self.coef_ = (means[1] - means[0])[np.newaxis]
        self.intercept_ = -self.coef_ @ (means[0] + means[1]) / 2
        return self

    def decision_function(self, features: Features) -> NDArray[np.float64]:
        """Return the projection onto the difference from halfway between the means, shape (n,)."""
        return features @ self.coef_[0] + self.intercept_[0]

    def predict(self, features: Features) -> NDArray[np.int64]:
        """Return the class whose mean is nearer, shape (n,)."""
        return (self.decision_function(features) > 0).astype(int)


def _logistic_regression(choices: Sequence[float], settings: ProbeSettings, task: Task) -> BaseEstimator:
    solving = {"max_iter": settings.max_iter, **SOLVERS[settings.solver]}
    if not task.folds:
        (only,) = choices
        return LogisticRegression(C=only, **solving)
    # One path of warm starts along C in each fold. By log loss: accuracies of a small fold have too many ties.
    return LogisticRegressionCV(
        Cs=list(choices),
        cv=task.folds,
        scoring=negative_log_loss,
        l1_ratios=(0,),
        use_legacy_attributes=False,
        **solving,
    )


def _ridge(choices: Sequence[float], settings: ProbeSettings, task: Task) -> BaseEstimator:  # noqa: ARG001 - has a closed form
    if not task.folds:
        (only,) = choices
        return RidgeClassifier(alpha=1 / (2 * only))
    return RidgeClassifierCV(alphas=1 / (2 * np.asarray(choices)), cv=task.folds, scoring="accuracy")


def _mass_mean(choices: Sequence[float], settings: ProbeSettings, task: Task) -> BaseEstimator:  # noqa: ARG001 - nothing to set
    return MassMean()


def _mlp(choices: Sequence[float], settings: ProbeSettings, task: Task) -> BaseEstimator:  # noqa: ARG001 - has no penalty of ours
    return MLPClassifier((HIDDEN_UNITS,), max_iter=settings.max_iter, random_state=task.seed)


KINDS: dict[str, Callable[[Sequence[float], ProbeSettings, Task], BaseEstimator]] = {
    "logistic_regression": _logistic_regression,
    "mass_mean": _mass_mean,
    "ridge": _ridge,
    "mlp": _mlp,
}
"""Probe -> its last step, for the values of C to choose from or the only one, the settings, and the task."""

PENALISED = ("logistic_regression", "ridge")
"""Probes whose L2 penalty has the strength 1 / C."""

PROBABILISTIC = ("logistic_regression", "mlp")
"""Probes that are fitted to probabilities and so have a log loss and a description length."""


def estimator(kind: str, task: Task, settings: ProbeSettings, choices: Sequence[float]) -> Pipeline:
    """Return the probe: scaling, if any, coordinates in which C is chosen fast, if it is, and the classifier."""
    steps: list[BaseEstimator] = []
    if settings.standardize:
        steps.append(StandardScaler())
    elif kind == "logistic_regression" and settings.solver == NEWTON:
        steps.append(Centred())
    if kind in PENALISED and task.folds:  # For one fit finding the basis takes longer than it saves.
        steps.append(RowSpace())
    return make_pipeline(*steps, KINDS[kind](choices, settings, task))


def as_reference(kind: str, settings: ProbeSettings) -> bool:
    """Tell whether a probe is the reference's, which is fitted in float32 and so the same to the last digit."""
    plain = not settings.standardize and not settings.choose
    return kind == "logistic_regression" and settings.solver == LBFGS and plain


def chosen_C(pipeline: Pipeline) -> float:  # noqa: N802
    """Return the C of a fitted probe, or NaN if it has none."""
    classifier = pipeline[-1]
    for name, to_c in (("C_", float), ("alpha_", _from_alpha), ("C", float)):
        if hasattr(classifier, name):
            return to_c(getattr(classifier, name))
    return _from_alpha(classifier.alpha) if isinstance(classifier, RidgeClassifier) else float("nan")


def iterations(pipeline: Pipeline) -> int:
    """Return the most iterations of any fit of a probe, 0 if it has a closed form."""
    done = getattr(pipeline[-1], "n_iter_", None)
    return 0 if done is None else int(np.max(done))


def _from_alpha(alpha: float) -> float:
    return 1 / (2 * alpha)


def coefficients(pipeline: Pipeline) -> NDArray[np.float64] | None:
    """Return weights of the pipeline's own input and the intercept, shape (d_model + 1,); None if not linear."""
    classifier = pipeline[-1]
    if not hasattr(classifier, "coef_"):
        return None
    weights, intercept = np.ravel(classifier.coef_), np.ravel(classifier.intercept_)
    for step in reversed(pipeline[:-1]):
        if isinstance(step, RowSpace):
            weights = weights if step.basis_ is None else step.basis_ @ weights
            continue
        if isinstance(step, StandardScaler):
            weights = weights / step.scale_
        intercept = intercept - weights @ step.mean_
    return np.append(weights, intercept)
