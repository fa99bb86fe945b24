"""What a model would answer at each layer, as a curve: a probe that nothing was trained for, tested on all statements.

Log-odds of the two answers above 0 are an answer for class 1. A model that leans to one of its answers has an accuracy
near that of naming one class, though statements of class 1 may have the higher log-odds: the area under the ROC curve
does not see where they are cut.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import CELL, LAYER
from conceptdepth.probes.predictions import Curve, Split

Values = NDArray[np.float64]


def read_lens(path: str) -> Curve:
    """Return the curve of a cell from the file that `score_answers` wrote. Raises `UserError` if it is damaged.

    It has one split, of which all statements are the test part.
    """
    try:
        texts = dict.fromkeys((*CELL, "id", "group"), str)
        table = pd.read_csv(path, keep_default_na=False, index_col=False, dtype=texts)
        layers = [f"{LAYER}{number}" for number in range(sum(column.startswith(LAYER) for column in table))]
        log_odds = table[layers].to_numpy(dtype=float).T
        ids, groups = (table[name].to_numpy(dtype=object) for name in ("id", "group"))
        if not log_odds.size or not np.isfinite(log_odds).all() or not table["label"].isin((0, 1)).all():
            raise ValueError("it has no log-odds, or some that are no finite numbers, or other labels than 0 and 1")
        names = {name: str(table[name].iloc[0]) for name in CELL}
    except (ValueError, LookupError, OverflowError) as error:
        raise UserError(f"{path} is damaged: {' '.join(str(error).split())}; delete it and run again.") from None
    labels = table["label"].to_numpy().astype(np.int8)
    split = Split(np.arange(len(table)), (log_odds > 0).astype(np.int8), decision=log_odds)
    return Curve(names, labels, groups, (split,), ids=ids)


def log_odds_of(curve: Curve) -> Values:
    """Return the log-odds of each statement at each layer, shape (n_layers, n_statements)."""
    decision = curve.splits[0].decision
    assert decision is not None
    return decision


def areas(log_odds: Values, labels: NDArray[np.int8]) -> Values:
    """Return areas under the ROC curve by layer for each row of labels, shape (n_rows, n_layers).

    By the sum of ranks of class 1 (Mann and Whitney 1947, *Annals of Mathematical Statistics* 18, 50-60); equal
    log-odds count half. ``labels`` has the shape (n_rows, n_statements).
    """
    ranks = rankdata(log_odds, axis=1)
    ones = labels.sum(axis=1, keepdims=True, dtype=float)
    # Labels of all permutations at once would take eight times their memory.
    parts = np.array_split(labels, max(1, len(labels) // 1000))
    sums = np.concatenate([part.astype(float) @ ranks.T for part in parts])
    return (sums - ones * (ones + 1) / 2) / (ones * (labels.shape[1] - ones))


def p_of_order(found: Values, permuted: Values) -> Values:
    """Return, for each layer, a p value of "at no layer has class 1 the higher log-odds", shape (n_layers,).

    ``found`` are areas, ``permuted`` those of permuted labels, shape (permutations, n_layers). The best layer is
    compared with the best of each permutation, as accuracies are in `conceptdepth.depth.resampling.p_above_chance`.
    """
    spread = permuted.std(axis=0)
    spread = np.where(spread > 0, spread, np.inf)  # A layer that says the same of all is never above chance.
    largest = ((permuted - permuted.mean(axis=0)) / spread).max(axis=1)
    at_least = largest[:, np.newaxis] >= (found - permuted.mean(axis=0)) / spread - 1e-9
    return (1 + at_least.sum(axis=0)) / (1 + len(permuted))
