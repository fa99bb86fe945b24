"""The depths of a curve as estimates, with intervals, and tests of whether anything is known at all.

Known means more than chance, and more than what needs no trained layer: see `conceptdepth.depth.above`. Only quantities
whose intervals hold the truth as often as they say have one: docs/statistics.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.depth.above import above_baselines
from conceptdepth.depth.definitions import describe_curve, first_depth, variation_rate
from conceptdepth.depth.resampling import IntervalSettings, Resamples, accuracy, p_above_chance
from conceptdepth.depth.uncertainty import Design, design_of, share_interval, standard_error, t_interval
from conceptdepth.probes.predictions import Curve

Values = NDArray[np.float64]


SHARES = ("mean_accuracy", "held_out_peak_accuracy")
"""Shares of statements that have an interval."""

BOUNDS = {"gain_centre": (0.0, 1.0), "held_out_peak_above_baseline": (-1.0, 1.0)}
"""Other quantities that have an interval -> what they cannot exceed."""


@dataclass(frozen=True)
class Estimate:
    """One curve with all that is estimated of it."""

    names: dict[str, str]
    """Columns that name the curve."""
    design: Design
    """What splits and groups say of how sure it is."""
    facts: dict[str, Any]
    """Sizes, noise of the band and p values."""
    values: dict[str, float]
    """Each quantity of the curve: depths and accuracies."""
    draws: dict[str, Values]
    """The same of each bootstrap draw, shape (draws,)."""
    layers: dict[str, Values]
    """Columns of ``layer_intervals.csv``, each of shape (n_layers,)."""


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
    design = design_of(curve)
    whole, drawn = accuracy(curve), accuracy(curve, taken.weights)
    error = standard_error(drawn, design)
    chance = p_above_chance(curve, taken.permuted) if settings.permutations else np.full(len(whole), np.nan)
    above = above_baselines(curve, baselines or {}, taken, settings.level, p_chance=chance, design=design)
    values = {
        "mean_accuracy": whole.mean(),
        **above.values,
        **describe_curve(whole, standard_error=error, **depth),
    }
    draws = {
        "mean_accuracy": drawn.mean(axis=1),
        **above.draws,
        **describe_curve(drawn, standard_error=error, **depth),
    }
    low, high = share_interval(whole, error, design, settings.level)
    facts = {
        "same_tokens_as": curve.same_tokens_as,
        "n_seeds": len(curve.splits),
        "n_test": round(np.mean([len(split.test) for split in curve.splits])),
        "n_layers": len(whole),
        "n_groups": design.n_groups,
        "converged": curve.converged,
        "mostly_converged": mostly_converged(curve.converged),
        **band_noise(whole, drawn, depth["plateau_band"]),
        "p_above_chance": chance.min(),
        "first_above_chance": first_below(chance, 1 - settings.level),
        "baseline": above.name,
        "baseline_accuracy": above.accuracy.max(),
        "p_above_baseline": np.fmin.reduce(above.p_values),  # Of layers that have one.
    }
    layers = {"accuracy": whole, "low": low, "high": high, "standard_error": error, "p_above_chance": chance}
    layers |= {"baseline_accuracy": above.accuracy, "p_above_baseline": above.p_values}
    return Estimate(curve.names, design, facts, values, draws, layers)


def mostly_converged(share: float) -> bool | float:
    """Tell whether at least half of a curve's probes converged, NaN if that is not known."""
    return share if np.isnan(share) else share >= 0.5


def band_noise(whole: Values, drawn: Values, band: float) -> dict[str, float]:
    """Return the chance that noise alone moves a given step, and at least one of the curve, out of the plateau band.

    Noise is what the bootstrap does to the variation rates of a curve, shape (n_layers,), in its draws, shape (draws,
    n_layers): how often they leave the band about the rate itself.
    """
    if not len(drawn) or len(whole) < 2:
        return {"band_noise": np.nan, "band_noise_anywhere": np.nan}
    out = ~(np.abs(variation_rate(drawn) / variation_rate(whole) - 1) < band)
    return {"band_noise": out.mean(), "band_noise_anywhere": out.any(axis=1).mean()}


def first_below(p_values: Values, level: float) -> float:
    """Return the relative depth of the first layer whose p value is at most ``level``, or NaN."""
    return float(first_depth(p_values <= level))


def with_intervals(found: Estimate, level: float) -> dict[str, Any]:
    """Return the row of ``concept_depth.csv``: each quantity, and its interval if it has one.

    A centre of gain has none where no layer is known to be above chance: it would be the centre of noise.
    """
    row: dict[str, Any] = {**found.names, **found.facts}
    for name, value in found.values.items():
        row[name] = value
        if name in SHARES or name in BOUNDS:
            row[f"{name}_low"], row[f"{name}_high"] = interval_of(found, name, level)
    return row


def interval_of(found: Estimate, name: str, level: float) -> tuple[Values | float, Values | float]:
    """Return the interval of a quantity from `SHARES` or `BOUNDS`, NaN where there is none."""
    if name == "gain_centre" and not found.facts["p_above_chance"] <= 1 - level:
        return np.nan, np.nan
    value, error = found.values[name], standard_error(found.draws[name], found.design)
    if name in SHARES:
        return share_interval(value, error, found.design, level)
    return t_interval(value, error, found.design.df, level, within=BOUNDS[name])
