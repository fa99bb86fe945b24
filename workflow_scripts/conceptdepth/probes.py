"""Probes: one classifier per layer, trained on activations, tested on statements held out.

The probe is scikit-learn's L2 logistic regression with its defaults (lbfgs, no scaling), as in the
reference code (Jin et al., arXiv 2404.07066).
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from conceptdepth.errors import UserError

Indices = NDArray[np.int64]

Split = tuple[int, Indices, Indices]
"""Seed, training and test statements."""

SPLITS = ("reference", "grouped")
"""Ways to hold statements out."""


@dataclass(frozen=True)
class ProbeSettings:
    """How probes are split and trained; the config section ``probes``."""

    split: str
    """``reference`` or ``grouped``, see `split_statements`."""
    test_share: float
    """Share of statements (reference) or of groups (grouped) that is held out."""
    seeds: Sequence[int]
    """One split, and one probe per layer, for each seed."""
    C: float  # noqa: N815 - scikit-learn's name
    """Inverse strength of the L2 penalty."""
    max_iter: int
    """Most iterations of the solver."""


@dataclass(frozen=True)
class LayerProbe:
    """The probe of one layer and split."""

    scores: dict[str, Any]
    """A row of ``layer_scores.csv`` without the columns that name the cell."""
    coefficients: NDArray[np.float64]
    """Weights and, last, the intercept, shape (d_model + 1,)."""
    decision: NDArray[np.float64]
    """Signed distance of each held-out statement from the boundary, shape (n_test,)."""


def split_statements(
    labels: NDArray[np.int8], groups: NDArray[np.object_], *, split: str, test_share: float, seed: int
) -> tuple[Indices, Indices]:
    """Return the indices of training and test statements.

    ``reference`` is the split of the released code: class-0 statements first, then
    ``train_test_split(test_size=test_share, random_state=seed)``, not stratified; it separates pairs.
    ``grouped`` holds out whole groups, so that no statement is tested whose partner was trained on.
    """
    if split == "reference":
        by_class = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)])
        train, test = train_test_split(by_class, test_size=test_share, random_state=seed)
        return train, test
    splitter = GroupShuffleSplit(n_splits=1, test_size=test_share, random_state=seed)
    return next(splitter.split(labels, groups=groups))


def train_layer(
    features: NDArray[np.float32],
    labels: NDArray[np.int8],
    train: Indices,
    test: Indices,
    *,
    C: float,  # noqa: N803 - scikit-learn's name
    max_iter: int,
) -> LayerProbe:
    """Train and test the probe of one layer; ``features`` has the shape (n_statements, d_model)."""
    model = LogisticRegression(C=C, max_iter=max_iter)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(features[train], labels[train])
    decision = model.decision_function(features[test])
    predicted = (decision > 0).astype(int)
    scores = {
        "n_train": len(train),
        "n_test": len(test),
        "accuracy": accuracy_score(labels[test], predicted),
        "f1": f1_score(labels[test], predicted, zero_division=0.0),
        "auc": roc_auc_score(labels[test], decision),
        "majority": max(np.mean(labels[test]), 1 - np.mean(labels[test])),
        "converged": not any(issubclass(warning.category, ConvergenceWarning) for warning in caught),
        "iterations": int(model.n_iter_[0]),
    }
    return LayerProbe(scores, np.append(model.coef_[0], model.intercept_), decision)


def splits_of(labels: NDArray[np.int8], groups: NDArray[np.object_], settings: ProbeSettings) -> Iterator[Split]:
    """Yield (seed, train, test) for every seed. Raises `UserError` if a part lacks a class."""
    for seed in settings.seeds:
        train, test = split_statements(labels, groups, split=settings.split, test_share=settings.test_share, seed=seed)
        for part, rows in (("training", train), ("test", test)):
            if len(set(labels[rows].tolist())) < 2:
                raise UserError(
                    f"probes: the {part} part of split {seed} holds one class only; raise the dataset's "
                    "`max_per_class` or change `probes.test_share`."
                )
        yield seed, train, test
