"""Does a model use what a probe finds? Effects of changes along a concept on what the model answers, layer by layer.

An effect is a difference of log-odds of the two answers, signed so that it is positive if the model uses the direction
as the probe reads it: evidence for a statement's own class that is lost when the direction is erased, or when the
vectors are moved against that class, and won when they are moved towards it. It is measured on held-out statements, and
compared with the same of random directions; docs/causal.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.datasets.groups import group_numbers
from conceptdepth.depth.changed_answers import Effects
from conceptdepth.depth.definitions import first_where
from conceptdepth.depth.interventions import SHUFFLED
from conceptdepth.depth.resampling import group_weights
from conceptdepth.depth.uncertainty import ROUNDING, Design, design_of_groups, standard_error, t_interval
from conceptdepth.ground.names import CONCEPT

Values = NDArray[np.float64]

ROUNDED = 1e-4
"""Share of the largest spread of effects of any layer up to which that of another is rounding."""

WHERE_READABLE = "effect_where_readable"
"""The mean effect beyond that of random directions, of layers from the first at which the probe is above chance."""


def mean_effects(effects: Values, weights: Values | None = None) -> Values:
    """Return means over statements, (..., n_layers) of (..., n_layers, n_statements).

    ``weights`` of statements, shape (n_draws, n_statements), give shape (n_draws, ..., n_layers), NaN where none has a
    weight.
    """
    if weights is None:
        return effects.mean(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.moveaxis(effects @ weights.T / weights.sum(axis=1), -1, 0)


def p_values(own: Values, controls: Values) -> Values:
    """Return, for each layer, a p value of "at no layer does the concept do more than a random direction".

    ``own`` has the shape (..., n_layers), ``controls`` (..., n_controls, n_layers). The rank among the controls, whose
    largest of all layers counts (max T of Westfall and Young 1993), in units of the spread of the controls and the
    concept together, so that under the null hypothesis the concept is one of them: exact if it is as good as drawn like
    them, and never below 1 / (n_controls + 1).
    """
    together = np.concatenate([own[..., np.newaxis, :], controls], axis=-2)
    middle, spread = together.mean(axis=-2, keepdims=True), together.std(axis=-2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        # What changes nothing but for rounding has no effect.
        varies = spread > ROUNDED * spread.max(axis=-1, keepdims=True)
        units = np.where(varies, (together - middle) / spread, 0.0)
    largest, found = units[..., 1:, :].max(axis=-1), units[..., 0, :]
    at_least = largest[..., :, np.newaxis] >= found[..., np.newaxis, :] - 1e-9
    return (1 + at_least.sum(axis=-2)) / (1 + controls.shape[-2])


def first_and_last(has: NDArray[np.bool_], layers: NDArray[np.int32], n_layers: int) -> tuple[Values, Values]:
    """Return the relative depths of the first and the last layer that has an effect, (...,) of (..., n_changed).

    NaN where none has; ``layers`` are those that were changed, of ``n_layers``.
    """
    first, last = first_where(has), len(layers) - 1 - first_where(has[..., ::-1])
    depths = np.append(layers / n_layers, np.nan)
    from_first, to_last = (depths[np.where(np.isnan(at), -1, at).astype(int)] for at in (first, last))
    return from_first, to_last


@dataclass(frozen=True)
class Found:
    """What is found of one method in one cell."""

    columns: dict[str, NDArray[Any]]
    """Of ``causal.csv``, each (n_layers,)."""
    values: dict[str, float]
    """By columns of ``causal_depth.csv``: depths, and the mean effect of layers at which the probe is above chance."""
    draws: dict[str, Values]
    """Depths of each draw of groups, each (n_draws,)."""


def find(
    effects: Effects, method: str, n_layers: int, onset_of_probe: float, *, draws: int, seed: int, level: float
) -> Found:
    """Return what a method does by layer, with intervals of the bootstrap over groups, and from and to which layer.

    ``onset_of_probe`` is the first layer at which the probe is above chance, NaN if there is none.
    """
    own, controls, shuffled = effects.of(method, CONCEPT), effects.of_controls(method), effects.of(method, SHUFFLED)
    whole, all_controls = mean_effects(own), mean_effects(controls)
    numbers = group_numbers(effects.groups)
    weights = group_weights(effects.groups, draws=draws, seed=seed)[:, numbers]
    drawn = mean_effects(own, weights)
    p, p_drawn = p_values(whole, all_controls), p_values(drawn, mean_effects(controls, weights))
    design = design_of_groups(np.bincount(numbers))
    low, high = t_interval(whole, standard_error(drawn, design), design.df, level, within=(-np.inf, np.inf))
    neutral, neutral_control = effects.divergence_of(method)
    columns = {
        "effect": whole, "effect_low": low, "effect_high": high,
        "effect_shuffled": mean_effects(shuffled),
        "effect_random": all_controls.mean(axis=0),
        "effect_random_low": np.quantile(all_controls, 1 - level, axis=0),
        "effect_random_high": np.quantile(all_controls, level, axis=0),
        "p": p,
        "mass": np.full(len(whole), effects.mass.mean()), "mass_change": effects.mass_change(method),
        "divergence": neutral, "divergence_random": neutral_control,
    }  # fmt: skip
    # Where any change weakens answers, one that does less is more than random directions, and is no effect.
    columns["has_effect"] = (p <= 1 - level + ROUNDING) & (low > 0)
    onset, end = first_and_last(columns["has_effect"], effects.layers, n_layers)
    onsets, ends = first_and_last((p_drawn <= 1 - level + ROUNDING) & (drawn > 0), effects.layers, n_layers)
    where = _where_readable(own, controls, effects.layers >= onset_of_probe, weights, design, level)
    depths, drawn_depths = {"causal_onset": onset, "last_effect": end}, {"causal_onset": onsets, "last_effect": ends}
    return Found(columns, {name: float(value) for name, value in {**depths, **where}.items()}, drawn_depths)


def _where_readable(
    own: Values, controls: Values, readable: NDArray[np.bool_], weights: Values, design: Design, level: float
) -> dict[str, Any]:
    """Return the mean effect of some layers beyond that of random directions, with its interval; NaN of no layer.

    It is as unsure as the statements that were asked and the random directions that were drawn leave it.
    """
    if not readable.any():
        return dict.fromkeys((WHERE_READABLE, f"{WHERE_READABLE}_low", f"{WHERE_READABLE}_high"), np.nan)
    of_controls = controls[:, readable].mean(axis=1)
    beyond = own[readable].mean(axis=0) - of_controls.mean(axis=0)
    drawn = mean_effects(of_controls).var(ddof=1) / len(controls)
    error = np.sqrt(standard_error(mean_effects(beyond, weights), design) ** 2 + drawn)
    low, high = t_interval(beyond.mean(), error, design.df, level, within=(-np.inf, np.inf))
    return {WHERE_READABLE: beyond.mean(), f"{WHERE_READABLE}_low": low, f"{WHERE_READABLE}_high": high}


def interval_of_draws(values: Values, level: float) -> tuple[float, float]:
    """Return the quantiles of draws at both ends of a level; NaN, as a draw may be, counts as larger than all.

    A bound that is NaN says that so many draws have no such layer.
    """
    if not len(values):
        return np.nan, np.nan
    tail = (1 - level) / 2
    ordered = np.sort(np.where(np.isnan(values), np.inf, values))
    low, high = np.quantile(ordered, [tail, 1 - tail], method="inverted_cdf")
    return float(low) if np.isfinite(low) else np.nan, float(high) if np.isfinite(high) else np.nan
