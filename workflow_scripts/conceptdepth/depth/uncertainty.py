"""How sure a quantity is of the whole experiment, with other statements drawn, split and trained on.

The bootstrap of `conceptdepth.depth.resampling` asks other statements of given probes. An experiment that is made again
also trains other probes, and this adds to its variance. Nadeau and Bengio (2003, *Machine Learning* 52, 239-281) put it
at the variance of testing times n_test / n_train; theirs is estimated between splits, of which there are too few here,
so the bootstrap's takes its place. Averaging over splits of the same statements takes less away than the bootstrap
says, too, as what one split tests the others train on: the mean over splits is taken to be no surer than one of them.
The larger of both corrections counts. docs/statistics.md says how often such intervals hold the truth.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from conceptdepth.probes.predictions import Curve

Values = NDArray[np.float64]

ROUNDING = 1e-9
"""Standard errors up to this are none: what is left where all draws agree."""


@dataclass(frozen=True)
class Design:
    """What splits and groups of an experiment say of how sure it is."""

    scale: float
    """What standard errors of the bootstrap are multiplied by; NaN if all that was tested is one group."""
    df: float
    """Degrees of freedom of a standard error."""

    @property
    def n_groups(self) -> float:
        """Number of groups of one size that would say as much as those that were tested."""
        return self.df + 1


def design_of(curve: Curve) -> Design:
    """Return the design of a curve's experiment.

    Groups count by the statements that were tested of each, in all splits (the effective number of Kish 1965, *Survey
    Sampling*), and one less is the degrees of freedom, as for a mean of groups: few large ones make an experiment less
    sure than many small ones.
    """
    n_splits, n = len(curve.splits), len(curve.labels)
    tested = np.sum([np.bincount(curve.group_numbers[split.test], minlength=n) for split in curve.splits], axis=0)
    share = tested.sum() / n_splits / n
    training = 1 / (1 - share) if share < 1 else 1.0
    one_split = n_splits / (1 + (n_splits - 1) * share)
    return design_of_groups(tested, more=max(training, one_split))


def design_of_groups(tested: NDArray[np.int64], *, more: float = 1.0) -> Design:
    """Return the design of a mean of statements, of which each group has some number; see `design_of`.

    The variance is so many times ``more`` than that of the statements alone.
    """
    n_groups = tested.sum() ** 2 / (tested**2).sum()
    if n_groups <= 1:
        return Design(np.nan, np.nan)
    return Design(float(np.sqrt(more * n_groups / (n_groups - 1))), float(n_groups - 1))


def standard_error(draws: Values, design: Design) -> Values:
    """Return the standard error of what was drawn along the first axis, of draws that are not NaN; NaN without two.

    It is 0 where all draws agree.
    """
    if len(draws) < 2:
        return np.full(draws.shape[1:], np.nan)[()]
    counted = (~np.isnan(draws)).sum(axis=0) > 1
    spread = np.nanstd(np.where(counted, draws, 0), axis=0, ddof=1)
    return np.where(counted, np.where(spread > ROUNDING, spread, 0.0) * design.scale, np.nan)[()]


def t_interval(
    value: ArrayLike, error: ArrayLike, df: ArrayLike, level: float, *, within: tuple[float, float]
) -> tuple[Values, Values]:
    """Return the interval of Student's t about a value, cut off at the bounds that it cannot exceed.

    NaN where nothing varies, which says nothing.
    """
    reach = np.where(np.asarray(error) > ROUNDING, error, np.nan) * stats.t.ppf((1 + level) / 2, df)
    return np.clip(value - reach, *within), np.clip(value + reach, *within)


def share_interval(share: ArrayLike, error: ArrayLike, design: Design, level: float) -> tuple[Values, Values]:
    """Return the interval of a share of statements, such as an accuracy.

    That of Clopper and Pearson for as many independent statements as would have this standard error, fewer by its
    degrees of freedom (Korn and Graubard 1998, *Survey Methodology* 24, 193-201): it stays within 0 and 1. Where all
    draws agree, as where all that were tested are right, they say as much as one statement of each group.
    """
    value, spread = np.asarray(share, dtype=float), np.asarray(error, dtype=float)
    tail = (1 - level) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        n = np.where(spread > 0, value * (1 - value) / spread**2, np.where(spread == 0, design.n_groups, np.nan))
        n = n * (stats.norm.ppf(tail) / stats.t.ppf(tail, design.df)) ** 2
        low = np.where(value <= 0, 0.0, stats.beta.ppf(tail, value * n, (1 - value) * n + 1))
        high = np.where(value >= 1, 1.0, stats.beta.ppf(1 - tail, value * n + 1, (1 - value) * n))
    known = ~np.isnan(n)
    return np.where(known, low, np.nan)[()], np.where(known, high, np.nan)[()]


def p_of_none(difference: float, error: float, df: float) -> float:
    """Return the two-sided p value of "no difference" by Student's t; NaN without variance, which says nothing."""
    return float(2 * stats.t.sf(abs(difference) / error, df)) if error > ROUNDING else np.nan


def adjusted(p_values: ArrayLike, correction: str, tests: Sequence[Hashable] | None = None) -> Values:
    """Return p values adjusted for their number, by SciPy's ``bh`` or ``by``; NaN stay NaN and do not count.

    ``tests`` say which are of one test under several names, and count once (None: each is of its own).
    """
    given = np.asarray(p_values, dtype=float)
    numbers: dict[Hashable, int] = {}
    which = np.array([numbers.setdefault(test, len(numbers)) for test in tests or range(len(given))], dtype=int)
    once = np.full(len(numbers), np.nan)
    once[which] = given
    known = ~np.isnan(once)
    if known.any():
        once[known] = stats.false_discovery_control(once[known], method=correction)
    return once[which]
