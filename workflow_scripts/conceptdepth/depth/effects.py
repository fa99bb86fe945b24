"""How kinds of cells differ, where datasets and models both are samples of what a claim is about.

A claim speaks of concepts and of models, of which a run has a few. What varies from dataset to dataset and what varies
from model to model both make an effect unsure: their variances are added, as in the quasi-F ratio min F' of Clark
(1973, *Journal of Verbal Learning and Verbal Behavior* 12, 335-359) for crossed random effects. The depths' own
standard errors are a floor: cells that happen to agree, or are tied at the last layer, are no surer than each is. A few
skewed differences make Student's t too sure, so what it says counts only as far as it also holds after the correction
for skewness of Hall (1992, *Journal of the Royal Statistical Society* B 54, 221-228).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from conceptdepth.depth.uncertainty import ROUNDING
from conceptdepth.ground.names import CELL

Values = NDArray[np.float64]

SIZE = "size"
"""Compares the models of a family by their size."""

DOMAIN = "domain"
"""Compares datasets of two domains."""

ZERO = "zero"
"""Compares cells with nothing: the quantity itself is what is claimed about."""

READER = ("model", "quantization", "perturbation")
"""Columns of what reads the datasets that are compared."""

FEWEST_DATASETS = 6
"""Datasets from which on there is a test, if each has cells of both kinds."""

FEWEST_OF_A_DOMAIN = 4
"""Datasets of each domain from which on there is a test, if domains are compared, whose skewness cancels in part."""

FEWEST_MODELS = 3
"""Models from which on there is a test."""


@dataclass(frozen=True)
class Spread:
    """How unsure an effect is for what varies between the members of one sample."""

    variance: float
    """Squared standard error; NaN if there are too few."""
    df: float
    """Its degrees of freedom."""
    third: float
    """Third cumulant of the effect, which says to which side it is skewed."""

    def __add__(self, other: "Spread") -> "Spread":
        """Add variances, with the degrees of freedom of Satterthwaite (1946, Biometrics 2, 110-114)."""
        variance, third = self.variance + other.variance, self.third + other.third
        if not variance > 0:  # Nothing varies, or one of them is not known.
            return Spread(variance, np.nan, third)
        return Spread(variance, variance**2 / (self.variance**2 / self.df + other.variance**2 / other.df), third)


@dataclass(frozen=True)
class Effect:
    """How two kinds of cells differ, or one kind from 0."""

    n_datasets: int
    """Datasets that have cells of both kinds; if domains are compared, those of the one that has fewer."""
    n_models: int
    """Models that have cells of both kinds; if sizes are compared, those of families of two or more."""
    effect: float
    """Mean difference, by size the change for twice as many parameters; NaN without such cells."""
    error: float = np.nan
    """Its standard error; NaN if there are too few datasets or models, or nothing varies, which says nothing."""
    df: float = np.nan
    """Degrees of freedom of the standard error."""
    skewness: float = 0.0
    """Of the effect, as far as its samples tell."""

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of Student's t, and as far beyond as that of Hall's."""
        reach = stats.t.ppf((1 + level) / 2, self.df)
        low, high = (self._before_hall(bound) for bound in (-reach, reach))
        return self.effect - self.error * max(reach, high), self.effect - self.error * min(-reach, low)

    def p_above(self, bound: float) -> float:
        """Return the one-sided p value of "it is at most ``bound``"."""
        t = (self.effect - bound) / self.error
        return float(stats.t.sf(min(t, self._hall(t)), self.df))

    def p_below(self, bound: float) -> float:
        """Return the one-sided p value of "it is at least ``bound``"."""
        t = (self.effect - bound) / self.error
        return float(stats.t.cdf(max(t, self._hall(t)), self.df))

    def p_of_none(self) -> float:
        """Return the two-sided p value of "no difference"."""
        return min(1.0, 2 * min(self.p_above(0), self.p_below(0))) if np.isfinite(self.error) else np.nan

    def p_of_more(self, margin: float) -> float:
        """Return the p value of "a difference of the margin or more".

        Of two one-sided tests (Schuirmann 1987, *J. Pharmacokinetics and Biopharmaceutics* 15, 657-680), each at half
        of the level: the two-sided interval has to be within the margin. At the full level skewed differences are held
        to be small too often.
        """
        one_sided = max(self.p_above(-margin), self.p_below(margin)) if np.isfinite(self.error) else np.nan
        return float(np.minimum(1.0, 2 * one_sided))

    def _hall(self, t: float) -> float:
        """Return t without its skewness: t + a t^2 / 3 + a^2 t^3 / 27 + a / 6 with the skewness a."""
        a = self.skewness
        return t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6

    def _before_hall(self, t: float) -> float:
        """Return what `_hall` makes this of."""
        a = self.skewness
        return float(3 / a * (np.cbrt(1 + a * (t - a / 6)) - 1)) if a else t


def effect_of(cells: pd.DataFrame, values: pd.DataFrame, *, compare: str, of: str, than: str) -> Effect:
    """Return how cells ``of`` one value of a column differ from those with another.

    ``cells`` has a row for each cell: dataset, domain, model, family, parameters, quantization and perturbation.
    ``values`` has the quantity of each in its first column, shape (n_cells, 1 + n_draws), and in the others what it is
    in the draws of a bootstrap, moved by as much as the whole experiment could move it; none, no floor.
    """
    if compare == DOMAIN:
        return _by_domain(cells, values, of, than)
    if compare == SIZE:
        return _by_size(cells, values)
    if compare == ZERO:
        own = values.set_axis(pd.MultiIndex.from_frame(cells[list(CELL)]))
        of_datasets, of_models = (own.groupby(level=name).mean() for name in ("dataset", "model"))
        return _of_both(of_datasets, _of_mean(of_models), len(of_models))
    alike = ["model", *(name for name in CELL if name not in ("model", compare))]
    first, second = (
        values[cells[compare] == value].set_axis(pd.MultiIndex.from_frame(cells.loc[cells[compare] == value, alike]))
        for value in (of, than)
    )
    differences = (first - second).dropna()
    of_datasets, of_models = (differences.groupby(level=name).mean() for name in ("dataset", "model"))
    return _of_both(of_datasets, _of_mean(of_models), len(of_models))


def _by_domain(cells: pd.DataFrame, values: pd.DataFrame, of: str, than: str) -> Effect:
    """Compare the datasets of two domains as those models, formats and perturbations see them that have cells of both.

    Of each cell the middle of what the same model, format and perturbation has in both domains is taken off, so that a
    domain that only large models know is not compared by the models that know it.
    """
    by_reader = values.set_axis(pd.MultiIndex.from_frame(cells[[*READER, "domain"]])).groupby(level=[*READER, "domain"])
    of_readers = [_at(by_reader.mean(), value) for value in (of, than)]
    differences = (of_readers[0] - of_readers[1]).dropna()
    middles = (of_readers[0] + of_readers[1]).dropna() / 2
    readers = pd.MultiIndex.from_frame(cells[list(READER)])
    used = readers.isin(middles.index)
    left = values[used] - middles.loc[readers[used]].to_numpy()
    of_datasets = left.groupby([cells.loc[used, "domain"], cells.loc[used, "dataset"]]).mean()
    first, second = _at(of_datasets, of), _at(of_datasets, than)
    of_models = differences.groupby(level="model").mean()
    n_datasets = min(len(first), len(second))
    return _effect(
        (first.mean() - second.mean()).to_numpy(),
        _of_mean(first) + _of_mean(-second),
        _of_mean(of_models),
        n_datasets=n_datasets,
        n_models=len(of_models),
        enough=n_datasets >= FEWEST_OF_A_DOMAIN,
    )


def _at(table: pd.DataFrame, domain: str) -> pd.DataFrame:
    return table[table.index.get_level_values("domain") == domain].droplevel("domain")


def _by_size(cells: pd.DataFrame, values: pd.DataFrame) -> Effect:
    """Regress on the binary logarithm of parameters, with an intercept for each family."""
    alike = ["family", "dataset", "quantization", "perturbation"]
    several = cells.groupby(alike)["parameters"].transform("nunique") > 1
    cells, values = cells[several], values[several]
    alike = [cells[name] for name in alike]
    size = np.log2(cells["parameters"].astype(float))
    size, values = size - size.groupby(alike).transform("mean"), values - values.groupby(alike).transform("mean")
    dataset = cells["dataset"]
    slopes = values.mul(size, axis=0).groupby(dataset).sum().div((size**2).groupby(dataset).sum(), axis=0)
    of_models = pd.DataFrame({"size": size, "value": values.iloc[:, 0]}).groupby(cells["model"]).mean()
    df = len(of_models) - cells["family"].nunique() - 1
    return _of_both(slopes, _of_slope(of_models, df), len(of_models))


def _of_slope(of_models: pd.DataFrame, df: int) -> Spread:
    """Return how unsure a slope is for what varies between models."""
    if df < 1:
        return Spread(np.nan, np.nan, np.nan)
    squares = (of_models["size"] ** 2).sum()
    residuals = of_models["value"] - of_models["size"] * (of_models["size"] * of_models["value"]).sum() / squares
    return Spread(float((residuals**2).sum() / df / squares), df, 0.0)


def _of_mean(sample: pd.DataFrame) -> Spread:
    """Return how unsure the mean of the first column is."""
    n = len(sample)
    if n < FEWEST_MODELS:
        return Spread(np.nan, np.nan, np.nan)
    of_each = sample.iloc[:, 0].to_numpy()
    return Spread(float(of_each.var(ddof=1) / n), n - 1, float(stats.kstat(of_each, 3) / n**2))


def _of_both(of_datasets: pd.DataFrame, between_models: Spread, n_models: int) -> Effect:
    """Return the mean effect of datasets, of which each has one, shape (n_datasets, 1 + n_draws)."""
    n = len(of_datasets)
    means = of_datasets.mean().to_numpy()
    enough = n >= FEWEST_DATASETS
    return _effect(means, _of_mean(of_datasets), between_models, n_datasets=n, n_models=n_models, enough=enough)


def _effect(
    means: Values, between_datasets: Spread, between_models: Spread, *, n_datasets: int, n_models: int, enough: bool
) -> Effect:
    """Return an effect, the first of ``means``; the others, of draws, say how unsure the cells themselves leave it."""
    effect = float(means[0])
    varies = min(between_datasets.variance, between_models.variance) > ROUNDING**2
    if not (enough and n_models >= FEWEST_MODELS and varies):
        return Effect(n_datasets, n_models, effect)
    between = between_datasets + between_models
    own = float(means[1:].var(ddof=1)) if len(means) > 2 else 0.0
    error = np.sqrt(max(between.variance, own)) if np.isfinite(own) else np.nan
    return Effect(n_datasets, n_models, effect, float(error), between.df, between.third / between.variance**1.5)
