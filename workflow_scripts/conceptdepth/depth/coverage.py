"""How far estimates, intervals and tests can be trusted, from experiments whose truth is known."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from conceptdepth.depth.comparison import ACCURACIES, PRIMARY, Difference, compare
from conceptdepth.depth.definitions import describe_curve
from conceptdepth.depth.estimates import BOUNDS, SHARES, Estimate, interval_of
from conceptdepth.depth.simulation import WORDS, Case, Repetition, signals

Values = NDArray[np.float64]

COLUMNS = [
    "quantity", "truth", "mean", "spread", "defined", "interval_width", "intervals", "coverage", "coverage_error",
    "false_alarms", "false_alarms_error",
]  # fmt: skip


def coverage(found: Sequence[Repetition], case: Case, *, depth: Mapping[str, float], level: float) -> pd.DataFrame:
    """Return a row for each quantity and each test, with the columns `COLUMNS`.

    Of quantities: what is true, mean and spread of the estimates, how many repetitions have one (``defined``) and an
    interval (``intervals``), and how many of the intervals hold the truth. Of tests: ``false_alarms``, how many
    repetitions have a p value of at most ``1 - level`` where there is nothing to find. Errors are Monte Carlo standard
    errors.
    """
    clean = [one.clean for one in found]
    rows = [*_quantities(clean, truth(clean, depth), level), _layers(clean), _transfer(found)]
    rows += _tests(clean, case, 1 - level)
    rows += [_difference(found, name, level) for name in PRIMARY]
    return pd.DataFrame(rows, columns=COLUMNS)


def truth(found: Sequence[Estimate], depth: Mapping[str, float]) -> dict[str, float]:
    """Return what an experiment gives: each quantity of the expected curve, the mean over all draws of statements."""
    expected, baseline, error = (
        np.mean([one.layers[name] for one in found], axis=0)
        for name in ("accuracy", "baseline_accuracy", "standard_error")
    )
    quantities = describe_curve(expected, standard_error=error, **depth)
    best = int(np.argmax(expected))
    others = {
        "mean_accuracy": expected.mean(),
        "held_out_peak_accuracy": expected[best],
        "held_out_peak_above_baseline": expected[best] - baseline[best],
    }
    return {name: float(value) for name, value in (others | quantities).items()}


def _quantities(found: Sequence[Estimate], true: Mapping[str, float], level: float) -> Iterator[dict[str, Any]]:
    for name, value in true.items():
        given = np.array([one.values[name] for one in found])
        known = given[~np.isnan(given)]
        row = {"quantity": name, "truth": value, "defined": len(known) / len(given)}
        if len(known):
            row |= {"mean": known.mean(), "spread": known.std()}
        if name in SHARES or name in BOUNDS:
            row |= _held(np.array([interval_of(one, name, level) for one in found]), value)
        yield row


def _held(bounds: Values, true: Values | float) -> dict[str, float]:
    """Return how wide intervals are, shape (n, 2) or (n, 2, n_layers), and how many of those that there are hold."""
    low, high = np.moveaxis(bounds.reshape(len(bounds), 2, -1), 1, 0)
    known = ~np.isnan(low)
    row = {"intervals": float(known.mean())}
    if not known.any() or np.isnan(true).any():
        return row
    holds = np.where(known, (low <= true + 1e-9) & (true - 1e-9 <= high), np.nan)[known.any(axis=1)]
    return row | {"interval_width": float(np.nanmean(high - low))} | _share(np.nanmean(holds, axis=1), "coverage")


def _layers(found: Sequence[Estimate]) -> dict[str, Any]:
    """Return how many of the intervals of layers hold the expected accuracy."""
    expected = np.mean([one.layers["accuracy"] for one in found], axis=0)
    bounds = np.array([(one.layers["low"], one.layers["high"]) for one in found])
    return {"quantity": "accuracy of a layer", **_held(bounds, expected)}


def _transfer(found: Sequence[Repetition]) -> dict[str, Any]:
    """Return how many of the intervals of layers hold the expected change of the accuracy of transferred probes."""
    names = ("transfer_change", "transfer_change_low", "transfer_change_high")
    change, low, high = (np.array([one.transferred[name] for one in found]) for name in names)
    held = _held(np.stack([low, high], axis=1), change.mean(axis=0))
    return {"quantity": "change of a transferred probe", **held}


def _tests(found: Sequence[Estimate], case: Case, alpha: float) -> Iterator[dict[str, Any]]:
    """Yield how often a layer is called that is not above: without a signal, or without more than words have."""
    signal = signals()[case.signal]
    for name, nothing in (("p_above_chance", signal == 0), ("p_above_baseline", signal <= WORDS)):
        if nothing.any():
            called = np.array([(one.layers[name][nothing] <= alpha).any() for one in found])
            yield {"quantity": name, **_share(called, "false_alarms")}


def _difference(found: Sequence[Repetition], name: str, level: float) -> dict[str, Any]:
    """Return how often a perturbation that changes nothing on average is said to change a quantity."""
    given = [one for one in found if name in ACCURACIES or _both_above(one, 1 - level)]
    row: dict[str, Any] = {"quantity": f"difference of {name}", "truth": 0.0, "defined": len(given) / len(found)}
    if not given:
        return row
    differences = [_of_repetition(one, name, level) for one in given]
    called = np.array([one.p <= 1 - level for one in differences])
    held = _held(np.array([(one.low, one.high) for one in differences]), 0.0)
    row |= {"mean": np.mean([one.difference for one in differences])}
    return row | {"spread": np.std([one.difference for one in differences])} | held | _share(called, "false_alarms")


def _both_above(one: Repetition, alpha: float) -> bool:
    return all(estimate.facts["p_above_baseline"] <= alpha for estimate in (one.clean, one.perturbed))


def _of_repetition(one: Repetition, name: str, level: float) -> Difference:
    first, second = one.clean, one.perturbed
    draws = second.draws[name] - first.draws[name]
    return compare(first.values[name], second.values[name], draws, first.design, level)


def _share(happened: NDArray[Any], name: str) -> dict[str, float]:
    """Return a share over repetitions and its Monte Carlo standard error, which is never said to be 0."""
    n, share = len(happened), float(happened.mean())
    near = (happened.sum() + 0.5) / (n + 1)
    return {name: share, f"{name}_error": float(np.sqrt(near * (1 - near) / n))}
