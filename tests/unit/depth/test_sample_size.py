"""Sample sizes against the closed form of a binomial interval, and what is said where there is none."""

import numpy as np
import pandas as pd
import pytest
from conceptdepth.depth.estimates import estimate, with_intervals
from conceptdepth.depth.quantities import Quantity
from conceptdepth.depth.resampling import IntervalSettings, resamples
from conceptdepth.depth.sample_size import FACTORS, interval_widths, needed
from conceptdepth.probes.predictions import Curve, Split
from scipy.stats import norm

DEPTH = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95}
OPTIONS = {"level": 0.95, "draws": 2000, "seed": 0}


def curve_of(correct):
    """Return a curve whose layers are right or wrong about statements as said, shape (n_layers, n)."""
    n = correct.shape[1]
    labels = np.tile([0, 1], n // 2).astype(np.int8)
    predicted = np.where(correct, labels, 1 - labels).astype(np.int8)
    return Curve({}, labels, np.arange(n).astype(str).astype(object), (Split(np.arange(n), predicted),))


def test_an_accuracy_takes_as_many_statements_as_the_binomial_says():
    """Of equal layers the mean accuracy is that of each, whose interval is 2 z sqrt(p (1 - p) / n) wide."""
    widths = interval_widths(curve_of(np.tile(np.arange(400) % 10 < 8, (2, 1))), **OPTIONS)
    for resolution in (0.2, 0.1, 0.02):
        closed = (2 * norm.ppf(0.975) / resolution) ** 2 * 0.8 * 0.2
        assert needed(widths["mean_accuracy"], resolution) == pytest.approx(closed, rel=0.15)


def test_at_its_own_size_an_interval_is_that_of_the_depth_table():
    draw = np.random.default_rng(0)
    curve = curve_of(draw.random((12, 100)) < np.linspace(0.5, 0.9, 12)[:, np.newaxis])
    widths = interval_widths(curve, factors=[1], **OPTIONS)
    settings = IntervalSettings(level=0.95, draws=2000, permutations=99, seed=0, correction="bh")
    row = with_intervals(estimate(curve, resamples(curve, settings), depth=DEPTH, settings=settings), 0.95)
    assert widths.loc[100.0, "gain_centre"] == pytest.approx(row["gain_centre_high"] - row["gain_centre_low"])


def test_more_statements_make_depths_sure():
    draw = np.random.default_rng(0)
    curve = curve_of(draw.random((12, 100)) < np.repeat([0.5, 0.9], 6)[:, np.newaxis])
    widths = interval_widths(curve, level=0.95, draws=200, seed=0)
    assert set(Quantity) <= set(widths)
    assert widths.index[0] == pytest.approx(12)
    assert widths.index[-1] == pytest.approx(100 * FACTORS[-1], rel=0.01)
    assert widths["gain_centre"].iloc[-1] < 0.01 < widths["gain_centre"].iloc[0]
    assert needed(widths["gain_centre"], 0.05) < needed(widths["gain_centre"], 0.02)


def test_the_last_size_that_is_too_wide_counts():
    widths = pd.Series({10.0: 0.05, 20.0: 0.4, 40.0: 0.1, 80.0: 0.1})
    assert needed(widths, 0.2) == pytest.approx(20 * 2**0.5)
    assert needed(widths, 0.5) == 10
    assert needed(widths, 0.01) == np.inf
    assert needed(pd.Series({10.0: np.nan, 20.0: 0.1}), 0.2) == 20
    assert needed(pd.Series({10.0: 0.4, 20.0: 0.0}), 0.2) == 20
