"""Standard errors of whole experiments, and intervals against those of SciPy."""

import numpy as np
import pytest
from conceptdepth.depth.uncertainty import (
    Design,
    adjusted,
    design_of,
    p_of_none,
    share_interval,
    standard_error,
    t_interval,
)
from conceptdepth.probes.predictions import Curve, Split
from scipy import stats


def curve(groups, n_splits=1, share=0.4):
    """Return a curve of one layer whose splits test a share of the groups, drawn anew for each."""
    draw = np.random.default_rng(0)
    names = np.unique(groups)
    tests = [
        np.flatnonzero(np.isin(groups, draw.permutation(names)[: round(share * len(names))])) for _ in range(n_splits)
    ]
    labels = np.zeros(len(groups), dtype=np.int8)
    splits = tuple(Split(test, np.zeros((1, len(test)), dtype=np.int8)) for test in tests)
    return Curve({}, labels, groups.astype(str).astype(object), splits)


ALONE = np.arange(1000)


@pytest.mark.parametrize("n_splits", [1, 3, 10, 200])
def test_errors_grow_by_what_training_adds_and_never_fall_below_those_of_one_split(n_splits):
    found = design_of(curve(ALONE, n_splits))
    training, one_split = 1 + 0.4 / 0.6, n_splits / (1 + (n_splits - 1) * 0.4)
    correction = found.n_groups / (found.n_groups - 1)
    assert found.scale**2 == pytest.approx(max(training, one_split) * correction)
    # The variance of the mean over splits that share 0.4 of their statements, times that, is that of one split or more.
    assert found.scale**2 * (1 + (n_splits - 1) * 0.4) / n_splits >= 1


def test_large_groups_count_as_fewer():
    equal, unequal = np.repeat(np.arange(100), 10), np.repeat(np.arange(100), [505, *[5] * 99])
    assert design_of(curve(equal, 1, 1.0)).n_groups == pytest.approx(100)
    assert design_of(curve(unequal, 1, 1.0)).n_groups == pytest.approx(1000**2 / (505**2 + 99 * 25))
    assert np.isnan(design_of(curve(np.zeros(10, dtype=int), 1, 1.0)).scale)


def test_the_standard_error_is_that_of_the_draws_that_have_a_value():
    draws = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 2.0], [5.0, np.nan]])
    np.testing.assert_allclose(standard_error(draws, Design(1.5, 9.0)), [1.5 * 2, np.nan])
    assert np.isnan(standard_error(np.empty((0, 3)), Design(1.5, 9.0))).all()


def test_of_independent_statements_the_interval_of_a_share_is_that_of_clopper_and_pearson():
    for k, n in ((30, 40), (3, 40), (0, 40), (40, 40)):
        p = k / n
        # A share of all or none has no error; there are as many groups as statements.
        design = Design(1.0, n - 1)
        found = share_interval(p, np.sqrt(p * (1 - p) / n), design, 0.95)
        fewer = n * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, n - 1)) ** 2
        assert found == pytest.approx(
            (
                stats.beta.ppf(0.025, p * fewer, fewer * (1 - p) + 1) if k else 0,
                stats.beta.ppf(0.975, p * fewer + 1, fewer * (1 - p)) if k < n else 1,
            )
        )
        exact = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
        assert found == pytest.approx((exact.low, exact.high), abs=0.01)


def test_a_larger_error_is_a_wider_interval_within_0_and_1():
    widths = []
    for error in (0.01, 0.05, 0.2):
        low, high = share_interval(np.array([0.02, 0.5, 0.98]), error, Design(1.0, 50.0), 0.95)
        assert (low >= 0).all()
        assert (high <= 1).all()
        widths.append(high - low)
    assert (np.diff(widths, axis=0) > 0).all()
    assert np.isnan(share_interval(0.5, np.nan, Design(1.0, 50.0), 0.95)).all()


def test_student_s_interval_ends_at_its_bounds_and_says_nothing_where_nothing_varies():
    reference = stats.t.interval(0.95, 9, loc=0.5, scale=0.1)
    assert t_interval(0.5, 0.1, 9, 0.95, within=(0, 1)) == pytest.approx(reference)
    assert t_interval(0.9, 0.1, 9, 0.95, within=(0, 1))[1] == 1
    assert np.isnan(t_interval(0.5, 0.0, 9, 0.95, within=(0, 1))).all()


def test_what_has_no_p_value_does_not_count_among_them():
    given = [0.01, np.nan, 0.04]
    np.testing.assert_allclose(adjusted(given, "bh"), [0.02, np.nan, 0.04])
    assert np.isnan(adjusted([np.nan], "bh")).all()


def test_one_test_under_several_names_counts_once():
    given, names = [0.01, 0.01, np.nan, 0.04, 0.01], ["a", "a", "b", "c", "a"]
    np.testing.assert_allclose(adjusted(given, "bh", names), [0.02, 0.02, np.nan, 0.04, 0.02])
    np.testing.assert_allclose(adjusted(given, "bh"), [0.04 / 3, 0.04 / 3, np.nan, 0.04, 0.04 / 3])


def test_what_is_left_of_rounding_is_no_error():
    """The centre of gain of a curve with one step, which is the same in each draw but for the last digit."""
    draws = 0.25 + np.random.default_rng(0).choice([0, 3e-17, 6e-17], 500)
    error = standard_error(draws, Design(1.29, 40.0))
    assert error == 0
    assert np.isnan(t_interval(0.25, 3e-17, 40.0, 0.95, within=(0, 1))).all()
    assert np.isnan(p_of_none(1 / 24, 3e-17, 40.0))
