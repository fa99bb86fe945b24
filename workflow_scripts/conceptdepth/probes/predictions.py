"""What the probes of a cell predicted of held-out statements, read from the files that `train_probes` writes."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import h5py
import numpy as np
from numpy.typing import NDArray

from conceptdepth.datasets.groups import group_numbers
from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.ground.hdf5 import (
    FLOAT,
    INTEGER,
    TEXT,
    array,
    attribute,
    check_strings,
    member,
    open_hdf5,
    undamaged,
)
from conceptdepth.ground.names import CELL, CONCEPT, PROBED

LOGISTIC_REGRESSION = "logistic_regression"
"""The classifier of every baseline."""


def split_group(site: str, position: str, probe: str, target: str, seed: int) -> str:
    """Return the path of the group of one split in a file of probes or baselines."""
    return f"{site}/{position}/{probe}/{target}/seed_{seed}"


@dataclass(frozen=True)
class Split:
    """The held-out statements of one split and what the probe of each layer makes of them."""

    test: NDArray[np.int64]
    """Which statements, shape (n_test,)."""
    predicted: NDArray[np.int8]
    """Class by layer and statement, shape (n_layers, n_test)."""
    converged: NDArray[np.bool_] | None = None
    """Whether the solver of each layer's probe converged, shape (n_layers,); None of baselines."""
    decision: NDArray[np.float64] | None = None
    """What tells classes, above 0 for class 1, of the shape of ``predicted``; None unless it was asked for."""
    seed: int | None = None
    """Seed of the split, if it was read from a file."""
    labels: NDArray[np.int8] | None = None
    """Class of each of these statements, of what the probe was trained for, shape (n_test,); None: the curve's."""


@dataclass(frozen=True)
class Curve:
    """One curve of a cell: a probe of each layer, trained for the concept on each of the splits."""

    names: dict[str, str]
    """By `conceptdepth.ground.names.CURVE`; a baseline has no model and no quantization, its name in the place of a
    site, and `conceptdepth.ground.names.PROMPT` in that of a position."""
    labels: NDArray[np.int8]
    """Class of each statement of the dataset, shape (n_statements,)."""
    groups: NDArray[np.object_]
    """Group of each statement, shape (n_statements,)."""
    splits: tuple[Split, ...]
    """One for each seed."""
    same_tokens_as: str = ""
    """The first position of the cell that reads the same tokens of every prompt: the curve's own, or one before it,
    which then is the same curve under another name."""
    ids: NDArray[np.object_] | None = None
    """Name of each statement, shape (n_statements,); None of baselines."""

    @property
    def converged(self) -> float:
        """Share of the curve's probes, of all layers and splits, whose solver converged; NaN if that is not known."""
        known = [split.converged for split in self.splits if split.converged is not None]
        return float(np.mean(known)) if known else float("nan")

    @cached_property
    def group_numbers(self) -> NDArray[np.int64]:
        """Number of each statement's group, see `conceptdepth.datasets.groups.group_numbers`."""
        return group_numbers(self.groups)


def read_curves(path: str, *, decisions: bool = False, target: str = CONCEPT) -> Iterator[Curve]:
    """Yield the curves of a cell from its file of probes, in the order of configured sites, positions and probes.

    They are of the concept, or of another ``target``; the labels of a control are those of its splits.

    That of the embedding has one layer, and so have those of a file of baselines. Raises `UserError` for a
    damaged file, and for a target that it has not. Splits have their decisions, eight times as many bytes as their
    classes, only if ``decisions`` asks.
    """
    with undamaged(path), _opened(path) as file:
        cell = {name: attribute(file, name, TEXT) for name in CELL if name in file.attrs}
        labels, groups = array(file, "label", INTEGER, 1)[:], array(file, "group", TEXT, 1).asstr()[:]
        ids = array(file, "id", TEXT, 1).asstr()[:] if "id" in file else None
        if not len(labels) == len(groups) == len(groups if ids is None else ids):
            raise ValueError("id, label and group are not of one length")
        names = [attribute(file, f"{name}s", TEXT, 1) for name in PROBED]
        for probed in itertools.product(*names):
            targets = reduce(member, probed, file)
            if target != CONCEPT and target not in targets:
                raise UserError(f"{path} has no target {target!r}; it has {one_of(targets)}.")
            splits = tuple(_split(group, len(labels), decisions) for group in _splits(file, *probed, target))
            first = _first_alike(member(file, probed[0]), names[1], probed[1])
            yield Curve(cell | dict(zip(PROBED, probed)), labels, groups, splits, first, ids)


def read_coefficients(path: str, site: str, position: str, probe: str) -> list[NDArray[np.float64]] | None:
    """Return the coefficients of a curve by split, each (n_layers, d_model + 1), or None if its probes are not linear.

    Raises `UserError` for a damaged file.
    """
    with undamaged(path), _opened(path) as file:
        splits = _splits(file, site, position, probe, CONCEPT)
        if any("coefficients" not in split for split in splits):
            return None
        return [array(split, "coefficients", FLOAT, 2)[:] for split in splits]


@dataclass(frozen=True)
class LinearCurve:
    """The linear probes of one site, position, kind and target: one for each layer and split."""

    names: dict[str, str]
    """By `conceptdepth.ground.names.PROBED` and ``target``."""
    coefficients: dict[int, NDArray[np.float64]]
    """By seed of the split: weights of the vectors as they are and, last, the intercept, (n_layers, d_model + 1)."""


def read_linear(path: str) -> Iterator[LinearCurve]:
    """Yield the linear probes of a cell from its file, controls too, in the order of `read_curves`; the concept first.

    Raises `UserError` for a damaged file.
    """
    with undamaged(path), _opened(path) as file:
        for probed in itertools.product(*(attribute(file, f"{name}s", TEXT, 1) for name in PROBED)):
            targets = reduce(member, probed, file)
            for target in sorted(targets, key=lambda name: (name != CONCEPT, name)):
                splits = {int(seed.removeprefix("seed_")): split for seed, split in member(targets, target).items()}
                if splits and all("coefficients" in split for split in splits.values()):
                    found = {seed: array(splits[seed], "coefficients", FLOAT, 2)[:] for seed in sorted(splits)}
                    shapes = {each.shape for each in found.values()}
                    if len(shapes) > 1 or min(shapes)[1] < 2:
                        raise ValueError("its coefficients are not of one shape")
                    names = dict(zip((*PROBED, "target"), (*map(str, probed), target)))
                    yield LinearCurve(names, {seed: each.astype(np.float64) for seed, each in found.items()})


def facts_of(path: str, *names: str) -> dict[str, str]:
    """Return what a cell's file of probes says of it, such as its dataset. Raises `UserError` for a damaged file."""
    with undamaged(path), _opened(path) as file:
        return {name: attribute(file, name, TEXT) for name in names}


def _opened(path: str) -> h5py.File:
    return open_hdf5(path, check_strings)


def _first_alike(site: h5py.Group, positions: Sequence[str], position: str) -> str:
    """Return the first position of a site that is the same group of the file (a hard link) as one of them."""
    return next(str(other) for other in positions if member(site, other) == member(site, position))


def _splits(file: h5py.File, *names: str) -> list[h5py.Group]:
    """Return the groups of a site, position, probe and target, in the order of `Curve.splits`."""
    seeds = reduce(member, names, file)
    return [member(seeds, seed) for seed in seeds]


def _split(group: h5py.Group, n_statements: int, decisions: bool) -> Split:
    test, decision = array(group, "test", INTEGER, 1)[:], array(group, "decision", FLOAT, 2)[:]
    if decision.shape[1:] != test.shape or not np.isin(test, np.arange(n_statements)).all():
        raise ValueError("its decisions are not those of its statements")
    converged = array(group, "converged", INTEGER, 1)[:].astype(bool) if "converged" in group else None
    seed = int(group.name.rpartition("_")[2])  # See `split_group`.
    labels = array(group, "label", INTEGER, 1)[:] if "label" in group else None
    if labels is not None and labels.shape != test.shape:
        raise ValueError("its labels are not those of its statements")
    return Split(test, (decision > 0).astype(np.int8), converged, decision if decisions else None, seed, labels)
