"""How much of an answer is the choice of position, wording, site, split and statements.

All but one choice is held, and that one varies: the *spread* of a factor is half the mean squared difference of two
answers that differ in it alone, over all such pairs that the run has. That is the estimator of Jansen (1999, *Computer
Physics Communications* 117, 35-43), and as a share of the variance of answers that have nothing alike the total-effect
index of Homma and Saltelli (1996, *Reliability Engineering and System Safety* 52, 1-17; Saltelli et al. 2010, *Computer
Physics Communications* 181, 259-270). Whatever takes part in an interaction has a share of it, so that shares may
add up to more than one. Where levels are a sample of others, it is the sum of the components of variance of all terms
with the factor, without bias on any incomplete grid: what two answers of a pair have alike cancels.

An answer is that of one split and one sample of statements. What another sample would make of it is what the bootstrap
draws, as far away as the whole experiment could move it (`conceptdepth.depth.uncertainty`): the variance of statements.
All cells are of one sample. What it does to all alike is not between them, and is added to the variance of answers that
have nothing alike; what it does to each apart is noise in the spread of every factor. How much of that there is, draws
say: cells of a draw are of one sample, too, and their spread about their own means is noise alone. As that of a whole
experiment it is more than enough (docs/statistics.md), so that what is beyond it is rather too small.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from conceptdepth.depth.uncertainty import ROUNDING

Values = NDArray[np.float64]

Numbers = NDArray[np.int64]

FACTORS = ("position", "perturbation", "site", "seed")
"""Columns of ``layer_scores.csv`` whose values are levels of a choice."""

SPLIT = "seed"
"""The factor that a curve has all levels of; its levels are samples and have no lowest and highest."""

STATEMENTS = "statements"
"""Stands in the place of a factor for the sample of statements."""


@dataclass(frozen=True)
class Pairs:
    """All pairs of two different things."""

    first: Numbers
    second: Numbers
    """Row of each, shape (n_pairs,); the first is the one that comes first."""
    differ: NDArray[np.bool_]
    """In which factors they differ, shape (n_pairs, n_factors)."""

    def of(self, factors: NDArray[np.bool_]) -> "Pairs":
        """Return those that differ in these factors, shape (n_factors,), and in no other."""
        chosen = (self.differ == factors).all(axis=1)
        return Pairs(self.first[chosen], self.second[chosen], self.differ[chosen])

    def spread(self, values: Values) -> float:
        """Return half the mean squared difference, NaN without pairs."""
        return float(np.mean((values[self.first] - values[self.second]) ** 2) / 2) if len(self.first) else np.nan

    def noise(self, covariance: Values) -> float:
        """Return what this spread is on average of values that have this covariance alone, shape (n, n)."""
        variance = np.diag(covariance)
        of_pairs = variance[self.first] + variance[self.second] - 2 * covariance[self.first, self.second]
        return float(np.mean(of_pairs) / 2) if len(self.first) else np.nan


def pairs_of(levels: Numbers, things: Numbers) -> Pairs:
    """Return each pair of different things once, as those of its names that have most alike.

    ``levels`` are numbers of the level of each factor, shape (n, n_factors). Rows with the same number in ``things``,
    shape (n,), are one thing under several names.
    """
    first, second = np.triu_indices(len(things), 1)
    differ = levels[first] != levels[second]
    keys = np.sort([things[first], things[second]], axis=0)
    order = np.argsort(differ.sum(axis=1), kind="stable")
    order = order[keys[0][order] != keys[1][order]]
    _, places = np.unique(keys[:, order], axis=1, return_index=True)
    chosen = order[np.sort(places)]
    return Pairs(first[chosen], second[chosen], differ[chosen])


def numbered(table: pd.DataFrame, columns: Sequence[str]) -> Numbers:
    """Return the values of columns as numbers, in the order in which they come, shape (n, n_columns)."""
    found = [pd.factorize(table[column])[0] for column in columns]
    return np.array(found, dtype=np.int64).reshape(len(columns), len(table)).T


def variance_rows(answers: pd.DataFrame, draws: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield a row of ``depth_variance.csv`` for each factor of which ``answers`` have two levels, and for statements.

    ``answers`` has a row for each curve and split: the columns of `FACTORS`, ``curve``, ``thing``, a number that curves
    have in common if they are one under several names, and ``value``, NaN of a curve without one. ``draws`` has a row
    for each curve, by its number, shape (n_curves, draws).
    """
    names = [factor for factor in FACTORS if answers[factor].nunique() > 1]
    without = answers.groupby("curve")["value"].transform(lambda values: values.isna().any())
    curves = {"n_curves": answers["curve"].nunique(), "n_without": answers.loc[without, "curve"].nunique()}
    left = answers[~without].reset_index(drop=True)
    of_curves = left.drop_duplicates("curve").reset_index(drop=True)
    covariance = _covariance(draws.loc[of_curves["curve"]])
    statements = float(np.mean(np.diag(covariance)[~of_curves["thing"].duplicated()])) if len(of_curves) else np.nan
    total = _total(left, of_curves, covariance, names) + statements
    total = total if total > ROUNDING**2 else np.nan  # Where nothing varies, nothing has a share of it.
    for factor in names:
        found = one_factor(left, factor, names)
        grid = [name for name in names if name != SPLIT]
        noise = np.nan if factor == SPLIT else _between(of_curves, grid, [factor]).noise(covariance)
        yield {
            "factor": factor,
            **found,
            **_beyond(found["sd"] ** 2, noise),
            "share": found["sd"] ** 2 / total,
            **curves,
        }
    known = {"levels": draws.shape[1], "sd": np.sqrt(statements), "share": statements / total}
    yield {"factor": STATEMENTS, **known, **curves}


def _beyond(spread: float, noise: float) -> dict[str, float]:
    """Return the standard deviation that noise alone would have, and what of a factor's own is beyond it."""
    noise = np.maximum(noise, 0.0)  # A difference of equal draws is nothing but for rounding.
    return {"sd_noise": float(np.sqrt(noise)), "sd_beyond_noise": float(np.sqrt(np.maximum(spread - noise, 0.0)))}


def one_factor(answers: pd.DataFrame, factor: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the columns of one factor among ``names``: its levels, its spread, and the two levels furthest apart.

    Those are held against each other where a run has both and all else alike, so that an incomplete grid takes no part
    in it; splits have none.
    """
    pairs = _between(answers, names, [factor])
    spread = pairs.spread(answers["value"].to_numpy())
    found = {
        "levels": answers[factor].nunique(),
        "distinct_levels": _distinct(answers, factor, names),
        "pairs": len(pairs.first),
        "sd": np.sqrt(spread),
    }
    return found | ({} if factor == SPLIT else _furthest(answers, factor, names))


def _between(answers: pd.DataFrame, names: Sequence[str], factors: Sequence[str]) -> Pairs:
    """Return the pairs that differ in ``factors`` alone, of all that vary; splits of a curve are different things."""
    things = [answers["thing"], *([answers[SPLIT]] if SPLIT in names else [])]
    keys = pd.MultiIndex.from_arrays(things)
    pairs = pairs_of(numbered(answers, names), pd.factorize(keys)[0])
    return pairs.of(np.isin(names, factors))


def _distinct(answers: pd.DataFrame, factor: str, names: Sequence[str]) -> int:
    """Return the number of levels that are not the same as another one wherever the run has them; splits never are."""
    if factor == SPLIT:
        return answers[factor].nunique()
    others = [name for name in names if name != factor]
    keys = answers[[*others, "thing"]].itertuples(index=False, name=None)
    of_levels = pd.Series(list(keys), index=answers[factor], dtype=object).groupby(level=0).agg(frozenset)
    return len(set(of_levels))


def _furthest(answers: pd.DataFrame, factor: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the two levels with the largest mean difference, the lower first, and their means where both were run.

    Two answers of one thing under two names are no difference; two pairs of the same things count once.
    """
    others = [name for name in names if name != factor]
    codes, levels = pd.factorize(answers[factor])
    held = answers[["thing", "value", *others]].assign(level=codes)
    both = held.merge(held, on=others) if others else held.merge(held, how="cross")
    things = ["thing_x", "thing_y", *([SPLIT] if SPLIT in others else [])]
    once = both[both["level_x"] < both["level_y"]].drop_duplicates(["level_x", "level_y", *things])
    if once.empty:
        return {}
    means = once.groupby(["level_x", "level_y"])[["value_x", "value_y"]].mean()
    furthest = (means["value_x"] - means["value_y"]).abs().idxmax()
    (lowest_mean, lowest), (highest_mean, highest) = sorted(zip(means.loc[furthest], levels[list(furthest)]))
    found = {"lowest": lowest, "lowest_mean": lowest_mean, "highest": highest, "highest_mean": highest_mean}
    return found | {"largest_difference": highest_mean - lowest_mean}


def _total(answers: pd.DataFrame, of_curves: pd.DataFrame, covariance: Values, names: Sequence[str]) -> float:
    """Return the variance of answers of which nothing is alike but the sample of statements, without its noise."""
    varied = [name for name in names if answers[name].nunique() > 1]
    if not varied:
        return 0.0
    spread = _between(answers, varied, varied).spread(answers["value"].to_numpy())
    grid = [name for name in varied if name != SPLIT]
    noise = _between(of_curves, grid, grid).noise(covariance) if grid else 0.0
    return float(np.maximum(spread - noise, 0.0))  # NaN stays NaN.


def _covariance(draws: pd.DataFrame) -> Values:
    """Return the covariance of curves over draws, shape (n_curves, n_curves), NaN without two draws."""
    n, size = draws.shape
    return np.cov(draws.to_numpy()).reshape(n, n) if size > 1 else np.full((n, n), np.nan)
