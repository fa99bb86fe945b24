"""What could tell a concept in its place, taken out of the vectors before a probe sees them: ``controls.partial_out``.

Each feature is regressed on nuisances by least squares and what is left is the residual: a linear fit on residuals is
the fit with the nuisances beside the features (Frisch and Waugh 1933, Econometrica 1, 387-401; Lovell 1963, JASA 58,
993-1010). Regressions are fitted on the training part alone and applied to both: fitted on all statements, test and
training part would lean against each other and accuracy fall below chance (Snoek, Miletic and Scholte 2019, NeuroImage
184, 741-760). docs/probes.md says what that does not take out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.ground.names import CONFIDENCE, WORDING, WORDS
from conceptdepth.probes.splits import Indices

Values = NDArray[np.float64]

LENGTH, NORM = "length", "norm"

NUISANCES = (LENGTH, WORDS, NORM, CONFIDENCE, WORDING)
"""What can be taken out, ``controls.partial_out``."""

NOTHING = 1e-9
"""A spread of at most this share of what it was is rounding: nothing varies, or nothing is left."""


@dataclass(frozen=True)
class Nuisances:
    """The nuisances of the statements of a cell."""

    columns: Values
    """Those that are the same at every layer, shape (n_statements, n_columns)."""
    norm: bool = False
    """Whether the length of the vector is one too, which each layer has its own of."""

    def at(self, features: NDArray[np.floating]) -> Values:
        """Return all columns at a layer with these features, shape (n_statements, d_model)."""
        if not self.norm:
            return self.columns
        return np.column_stack([self.columns, np.linalg.norm(features.astype(np.float64), axis=1)])


def residuals(values: NDArray[Any], columns: Values, train: Indices) -> Values:
    """Return values, of all statements, without what the columns tell of them in the training part.

    ``values`` have the shape (n_statements,) or (n_statements, n). The regression has an intercept; a column that does
    not vary in training, or that others tell, tells nothing of its own.
    """
    mean, spread = columns[train].mean(axis=0), columns[train].std(axis=0)
    varies = spread > NOTHING * np.abs(mean)
    scaled = (columns[:, varies] - mean[varies]) / spread[varies]
    centred = np.asarray(values, dtype=np.float64) - np.mean(values[train], axis=0, dtype=np.float64)
    slopes = np.linalg.lstsq(scaled[train], centred[train], rcond=NOTHING)[0]
    return centred - scaled @ slopes


def partial_correlation(
    labels: NDArray[np.int8], decision: Values, columns: Values, train: Indices, test: Indices
) -> float:
    """Return the correlation in the test part of decisions, of features without nuisances, and labels without them.

    Where the nuisances tell the label whole nothing is left to correlate, and a decision that is one for all says
    nothing: it is NaN then.
    """
    left = residuals(labels, columns, train)[test]
    spreads = left.std(), decision.std()
    if spreads[0] <= NOTHING or spreads[1] <= NOTHING * np.abs(decision).max():
        return float("nan")
    return float(np.mean((left - left.mean()) * (decision - decision.mean())) / np.prod(spreads))


def nuisances_of(
    chosen: Sequence[str],
    *,
    n_tokens: NDArray[np.int32],
    prompts: Sequence[Mapping[str, Any]] = (),
    confidence: Values | None = None,
) -> Nuisances | None:
    """Return the chosen nuisances of the statements of a cell, or None if nothing is to be taken out.

    ``prompts`` are rows of `conceptdepth.datasets.rows.read_prompts`, for words and wording; ``confidence`` is the
    model's largest probability of a next token. A wording is what stands before and after the text of a statement: a
    column for each but the most frequent.
    """
    if not chosen:
        return None
    columns: list[NDArray[Any]] = []
    if LENGTH in chosen:
        columns.append(n_tokens)
    if WORDS in chosen:
        columns.append(np.array([len(_parts(row)[1].split()) for row in prompts]))
    if CONFIDENCE in chosen:
        assert confidence is not None
        columns.append(confidence)
    if WORDING in chosen:
        columns += wordings(prompts)
    shape = (len(n_tokens), len(columns))
    return Nuisances(np.array(columns, dtype=np.float64).T.reshape(shape), norm=NORM in chosen)


def wordings(prompts: Sequence[Mapping[str, Any]]) -> list[NDArray[np.bool_]]:
    """Return which prompts have each wording but the most frequent."""
    around = [(before, after) for before, _, after in map(_parts, prompts)]
    names = sorted(set(around), key=lambda wording: (-around.count(wording), wording))
    return [np.array([own == name for own in around]) for name in names[1:]]


def _parts(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what stands before the text of a prompt, the text, and what stands after it."""
    first, end = row["text_at"]
    prompt = row["prompt"]
    return prompt[:first], prompt[first:end], prompt[end:]
