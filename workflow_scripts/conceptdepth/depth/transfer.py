"""Probes that are trained in one place and tested in another: on another dataset, rendering, position or layer.

Accuracies and areas come with intervals of the bootstrap over groups of the tested statements and of the variance
between splits. How alike directions are is in `conceptdepth.depth.directions`; docs/transfer.md says what each shows.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from conceptdepth.depth.resampling import accuracy
from conceptdepth.depth.uncertainty import Design, design_of, standard_error, t_interval
from conceptdepth.probes.predictions import Curve, Split

Values = NDArray[np.float64]

Indices = NDArray[np.int64]


def trained_on(curve: Curve, split: Split) -> Indices:
    """Return the statements of a curve that a split does not hold out."""
    return np.setdiff1d(np.arange(len(curve.labels)), split.test)


def held_out(trained: Curve, tested: Curve) -> list[Indices]:
    """Return, for each split, statements of ``tested`` that neither its own probe nor that of ``trained`` has seen.

    Of one dataset, in whatever rendering, position or layer, they are those that the split holds out of both. Of two
    they are what the tested one's split holds out, but for groups that the other was trained on; a name of digits alone
    counts a dataset's rows, and is no group of another. Raises `ValueError` if curves of one dataset are not of the
    same statements and splits.
    """
    pairs = list(zip(trained.splits, tested.splits, strict=True))
    if trained.names["dataset"] == tested.names["dataset"]:
        alike = np.array_equal(trained.groups, tested.groups) and np.array_equal(trained.labels, tested.labels)
        if not alike or not all(np.array_equal(one.test, other.test) for one, other in pairs):
            raise ValueError(f"two curves of {tested.names['dataset']} are not of the same statements and splits")
        return [split.test for split in tested.splits]
    return [other.test[~np.isin(tested.groups[other.test], _named(trained, one))] for one, other in pairs]


def _named(curve: Curve, split: Split) -> list[str]:
    return [name for name in set(curve.groups[trained_on(curve, split)].tolist()) if not name.isdigit()]


def can_be_tested(curve: Curve, statements: Sequence[Indices]) -> bool:
    """Tell whether the statements of each split are of both classes."""
    return all(len(set(curve.labels[test].tolist())) == 2 for test in statements)


def decide(vectors: Values, coefficients: Values) -> Values:
    """Return decisions of a linear probe, above 0 for class 1, shape (n,).

    Its coefficients are of the features as they are: scaling that it was trained with is in them.
    """
    return vectors @ coefficients[:-1] + coefficients[-1]


def with_decisions(curve: Curve, statements: Sequence[Indices], decisions: Sequence[Values]) -> Curve:
    """Return a curve with decisions of the given statements in place of its own, by split (n_layers, n_test)."""
    splits = [Split(test, (values > 0).astype(np.int8), None, values) for test, values in zip(statements, decisions)]
    return replace(curve, splits=tuple(splits))


def auc(curve: Curve, weights: Values | None = None) -> Values:
    """Return the area under the ROC curve of each layer, the mean over splits; the curve has its decisions.

    ``weights`` of groups, shape (n_draws, n_groups) in the order of ``np.unique``, give shape (n_draws, n_layers), NaN
    where a class has no weight in any split; without them all count once, shape (n_layers,).
    """
    n_groups = int(curve.group_numbers.max()) + 1
    of_groups = np.ones((1, n_groups)) if weights is None else weights
    areas = np.array([_areas(curve, split, of_groups[:, curve.group_numbers[split.test]]) for split in curve.splits])
    known = ~np.isnan(areas)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, areas, 0).sum(axis=0) / known.sum(axis=0)
    return mean[0] if weights is None else mean


def _areas(curve: Curve, split: Split, weights: Values) -> Values:
    """Return the areas of one split, shape (n_draws, n_layers); ``weights`` are of statements."""
    if split.decision is None:
        raise ValueError("the curve was read without its decisions")
    return weighted_areas(curve.labels[split.test], split.decision, weights).T


def weighted_areas(labels: NDArray[np.int8], decisions: Values, weights: Values) -> Values:
    """Return the share of pairs of a class-1 and a class-0 statement that decisions order rightly, (n_layers, n_draws).

    Ties count half, and a pair counts as the product of its weights, shape (n_draws, n_statements), which are whole
    numbers: single precision has all sums of them exactly, and takes half the time.
    """
    one, zero = labels == 1, labels == 0
    ones, zeros = (np.ascontiguousarray(weights[:, part], dtype=np.float32) for part in (one, zero))
    pairs = ones.sum(axis=1, dtype=float) * zeros.sum(axis=1, dtype=float)
    areas = np.empty((len(decisions), len(weights)))
    for layer, decision in enumerate(decisions):
        above = decision[one][:, np.newaxis] - decision[zero]
        right = (above > 0) + (above == 0) / np.float32(2)
        with np.errstate(invalid="ignore"):
            areas[layer] = np.einsum("ij,ij->i", ones @ right.astype(np.float32), zeros, dtype=float) / pairs
    return areas


def learned(curve: Curve, weights: Values, level: float) -> NDArray[np.bool_]:
    """Tell of each layer whether its probe is known to be above chance where it was trained: by its area, above 0.5."""
    design = design_of(curve)
    return (
        t_interval(auc(curve), standard_error(auc(curve, weights), design), design.df, level, within=(0.0, 1.0))[0]
        > 0.5
    )


def scores(
    tested: Curve, own: Curve, share: float, known: NDArray[np.bool_], weights: Values, level: float
) -> dict[str, Values]:
    """Return accuracies and areas by layer, by the columns of ``transfer.csv``, with intervals of the whole experiment.

    ``tested`` has the decisions of the transferred probe, which was trained on a ``share`` of its statements, ``own``
    those of the probe that was trained where it is tested, on the same statements. Where the first is not ``known`` to
    have learned anything there are no intervals: it would be that of a random direction.
    """
    design = design_of(tested)
    columns = {"accuracy": accuracy(tested), "auc": auc(tested)}
    columns |= {"accuracy_in_domain": accuracy(own), "auc_in_domain": auc(own)}
    columns["auc_change"] = columns["auc"] - columns["auc_in_domain"]
    drawn = {"accuracy": accuracy(tested, weights), "auc": auc(tested, weights)}
    drawn["auc_change"] = drawn["auc"] - auc(own, weights)
    apart = {name: np.array([measure(each) for each in _apart(tested)]) for name, measure in MEASURES.items()}
    apart["auc_change"] = apart["auc"] - np.array([auc(each) for each in _apart(own)])
    for name, values in drawn.items():
        error, df = _error(values, apart[name], design, share)
        interval = t_interval(columns[name], error, df, level, within=BOUNDS[name])
        columns |= {f"{name}_{end}": np.where(known, bound, np.nan) for end, bound in zip(("low", "high"), interval)}
    return columns


MEASURES = {"accuracy": accuracy, "auc": auc}
BOUNDS = {"accuracy": (0.0, 1.0), "auc": (0.0, 1.0), "auc_change": (-1.0, 1.0)}


def _apart(curve: Curve) -> list[Curve]:
    return [replace(curve, splits=(split,)) for split in curve.splits]


def _error(drawn: Values, apart: Values, design: Design, share: float) -> tuple[Values, Values]:
    """Return the standard error of a mean over splits and its degrees of freedom (Welch and Satterthwaite), by layer.

    ``drawn`` are draws of tested statements, ``apart`` the values of single splits. Another training part gives another
    direction, whose luck is the larger the more there is to tell where it is tested: the bootstrap knows nothing of it,
    the variance between splits does. Their training parts have a ``share`` of their statements in common, and so much
    of it is not seen between them. NaN of one split.
    """
    n = len(apart)
    if n == 1:
        return np.full(apart.shape[1], np.nan), np.full(apart.shape[1], np.nan)
    tested = standard_error(drawn, design) ** 2
    trained = apart.var(axis=0, ddof=1) * (share + (1 - share) / n) / (1 - share)
    with np.errstate(invalid="ignore"):
        df = (tested + trained) ** 2 / (tested**2 / design.df + trained**2 / (n - 1))
    return np.sqrt(tested + trained), df


def majority(curve: Curve) -> float:
    """Return the accuracy of always naming the larger class of the statements that are tested, the mean over splits."""
    shares = [float(np.mean(curve.labels[split.test])) for split in curve.splits]
    return float(np.mean([max(share, 1 - share) for share in shares]))
