"""The depths of a curve as estimates: each with an interval, and tests of whether anything is known at all.

Known means more than chance, and more than what needs no trained layer: see `conceptdepth.depth.above`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.depth.above import above_baselines
from conceptdepth.depth.definitions import describe_curve, first_where, held_out_peak, variation_rate
from conceptdepth.depth.resampling import accuracy, group_weights, halves, interval, p_above_chance, permuted_labels
from conceptdepth.probes.predictions import Curve

Values = NDArray[np.float64]


@dataclass(frozen=True)
class IntervalSettings:
    """How sure estimates are; the config section ``intervals``."""

    level: float
    """Share of repetitions in which an interval should contain the truth."""
    draws: int
    """Draws of the bootstrap over groups; none, no intervals."""
    permutations: int
    """Permutations of labels; none, no tests of chance."""
    seed: int
    """Seed of both."""
    correction: str
    """How p values of many curves are adjusted: ``bh`` or ``by``, see `scipy.stats.false_discovery_control`."""


@dataclass(frozen=True)
class Resamples:
    """What all curves of a dataset are resampled with."""

    weights: Values
    """Of groups in each draw, shape (draws, n_groups)."""
    half: NDArray[np.bool_]
    """Groups of which the peak is chosen on one half and reported on the other, shape (n_groups,)."""
    permuted: NDArray[np.int8]
    """Labels, shape (permutations, n_statements)."""


@dataclass(frozen=True)
class Estimate:
    """One curve with all that is estimated of it."""

    names: dict[str, str]
    """Columns that name the curve."""
    facts: dict[str, Any]
    """Sizes, noise of the band and p value; the columns of ``concept_depth.csv`` that have no interval."""
    values: dict[str, float]
    """Each quantity of the curve: depths and accuracies."""
    draws: dict[str, Values]
    """The same of each bootstrap draw, shape (draws,)."""
    layers: dict[str, Values]
    """Columns of ``layer_intervals.csv``, each of shape (n_layers,)."""


def resamples(curve: Curve, settings: IntervalSettings) -> Resamples:
    """Return the draws and permutations of a curve's dataset."""
    return Resamples(
        group_weights(curve.groups, draws=settings.draws, seed=settings.seed),
        halves(curve.groups, seed=settings.seed),
        permuted_labels(curve.labels, curve.groups, permutations=settings.permutations, seed=settings.seed),
    )


def estimate(
    curve: Curve,
    taken: Resamples,
    *,
    baselines: Mapping[str, Curve] | None = None,
    depth: dict[str, float],
    settings: IntervalSettings,
) -> Estimate:
    """Return the estimates of a curve; what was not resampled is NaN.

    ``baselines`` are curves of the same statements by name, of one layer or as many as the curve has.
    """
    whole, drawn = accuracy(curve), accuracy(curve, taken.weights)
    error = np.nanstd(drawn, axis=0, ddof=1) if settings.draws > 1 else np.full(len(whole), np.nan)
    once = np.ones((1, len(taken.half)))
    values = describe_curve(whole, standard_error=error, **depth)
    values |= {"mean_accuracy": whole.mean(), "held_out_peak_accuracy": _held_out(curve, once, taken.half)[0]}
    draws = describe_curve(drawn, standard_error=error, **depth)
    draws |= {
        "mean_accuracy": drawn.mean(axis=1),
        "held_out_peak_accuracy": _held_out(curve, taken.weights, taken.half),
    }
    chance = p_above_chance(curve, taken.permuted) if settings.permutations else np.full(len(whole), np.nan)
    above = above_baselines(curve, baselines or {}, taken.weights, settings.level, p_chance=chance)
    values |= above.values
    draws |= above.draws
    low, high = interval(drawn, settings.level)
    facts = {
        "n_seeds": len(curve.splits),
        "n_test": round(np.mean([len(split.test) for split in curve.splits])),
        "n_layers": len(whole),
        **band_noise(whole, drawn, depth["plateau_band"]),
        "p_above_chance": chance.min(),
        "first_above_chance": first_below(chance, 1 - settings.level),
        "baseline": above.name,
        "baseline_accuracy": above.accuracy.max(),
        "p_above_baseline": above.p_values.min(),
    }
    layers = {"accuracy": whole, "low": low, "high": high, "standard_error": error, "p_above_chance": chance}
    layers |= {"baseline_accuracy": above.accuracy, "p_above_baseline": above.p_values}
    return Estimate(curve.names, facts, values, draws, layers)


def _held_out(curve: Curve, weights: Values, half: NDArray[np.bool_]) -> Values:
    """Return held-out peaks, shape (draws,): chosen on one half of groups, reported on the other, both ways."""
    one, other = accuracy(curve, weights * half), accuracy(curve, weights * ~half)
    return (held_out_peak(one, other) + held_out_peak(other, one)) / 2


def band_noise(whole: Values, drawn: Values, band: float) -> dict[str, float]:
    """Return the chance that noise alone moves a given step, and at least one of the curve, out of the plateau band.

    Noise is what the bootstrap does to the variation rates of a curve, shape (n_layers,), in its draws, shape (draws,
    n_layers): how often they leave the band about the rate itself.
    """
    if not len(drawn):
        return {"band_noise": np.nan, "band_noise_anywhere": np.nan}
    out = ~(np.abs(variation_rate(drawn) / variation_rate(whole) - 1) < band)
    return {"band_noise": out.mean(), "band_noise_anywhere": out.any(axis=1).mean()}


def first_below(p_values: Values, level: float) -> float:
    """Return the relative depth of the first layer whose p value is at most ``level``, or NaN."""
    return float(first_where(p_values <= level) / len(p_values))


def with_intervals(found: Estimate, level: float) -> dict[str, Any]:
    """Return the row of ``concept_depth.csv``: each quantity, its interval, and the share of draws that have it."""
    row: dict[str, Any] = {**found.names, **found.facts}
    for name, value in found.values.items():
        draws = found.draws[name]
        low, high = interval(draws, level)
        defined = 1 - np.isnan(draws).mean() if len(draws) else np.nan
        row |= {name: value, f"{name}_low": low, f"{name}_high": high, f"{name}_defined": defined}
    return row
