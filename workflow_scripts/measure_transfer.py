"""Test the probes of a model in a weight format on other datasets, renderings, positions and layers than their own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pandas as pd
from conceptdepth.activations.store import open_activations, read_labels, vectors_of
from conceptdepth.depth.directions import Side, likeness
from conceptdepth.depth.resampling import group_weights
from conceptdepth.depth.transfer import (
    Values,
    can_be_tested,
    decide,
    held_out,
    learned,
    majority,
    scores,
    trained_on,
    with_decisions,
)
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CURVE
from conceptdepth.probes.predictions import Curve, read_coefficients, read_curves
from conceptdepth.provenance.job import job, log
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

DATASET, PERTURBATION, POSITION, LAYER = "dataset", "perturbation", "position", "layer"

COLUMNS = (
    *(*CURVE, "transferred", "from", "to", "layer", "layer_of_vectors", "n_layers", "n_test", "n_left_out"),
    *("accuracy", "accuracy_low", "accuracy_high", "auc", "auc_low", "auc_high"),
    *("accuracy_in_domain", "auc_in_domain", "auc_change", "auc_change_low", "auc_change_high", "majority"),
    *("auc_random", "auc_random_high"),
    *("cosine", "cosine_random", "cosine_random_high"),
    *("whitened_cosine", "whitened_cosine_random", "whitened_cosine_random_high"),
)
"""Of ``transfer.csv``; the first name the curve of the place where the probe is tested."""


@dataclass(frozen=True)
class Probed:
    """A linear probe of every layer, and the vectors that it was trained on."""

    curve: Curve
    coefficients: Sequence[Values]
    """By split, each (n_layers, d_model + 1)."""
    vectors: h5py.Dataset
    """Shape (n_layers, n_statements, d_model)."""
    learned: NDArray[np.bool_]
    """Of each layer, whether its probe is above chance on its own held-out statements."""


@dataclass(frozen=True)
class Transfer:
    """A probe and where it is tested, which differ in one thing."""

    differ: str
    trained: Probed
    tested: Probed
    steps: Sequence[tuple[int, int]]
    """Layers of the probe and of the vectors that it is tested on."""


def probed_in(activations: h5py.File, probes: str, *, draws: int, seed: int, level: float) -> Iterator[Probed]:
    """Yield the linear probes of a cell, but for those of the embedding; positions of the same tokens once."""
    held, places = read_labels(activations), vectors_of(activations)
    for curve in read_curves(probes, decisions=True):
        site, position, probe = (curve.names[name] for name in ("site", "position", "probe"))
        if (site, position) not in places or curve.same_tokens_as != position:
            continue
        if not np.array_equal(held.labels, curve.labels) or not np.array_equal(held.groups, curve.groups):
            raise ValueError(f"{activations.filename} and {probes} are of other statements")
        coefficients = read_coefficients(probes, site, position, probe)
        if coefficients is not None:
            known = learned(curve, group_weights(curve.groups, draws=draws, seed=seed), level)
            yield Probed(curve, coefficients, places[site, position], known)


def transfers(probed: Sequence[Probed], layers: int) -> Iterator[Transfer]:
    """Yield each probe with every place that differs in one thing, and on itself among datasets and among layers.

    Within a place, probes of up to ``layers`` layers are tested on the vectors of the same layers.
    """
    several = len({each.curve.names[DATASET] for each in probed}) > 1
    for tested in probed:
        n_layers = len(tested.vectors)
        same = [(layer, layer) for layer in range(n_layers)]
        for trained in probed:
            one, other = trained.curve.names, tested.curve.names
            differ = [name for name in CURVE if one[name] != other[name]]
            if differ in ([DATASET], [PERTURBATION], [POSITION]):
                yield Transfer(differ[0], trained, tested, same)
            elif not differ and several:
                yield Transfer(DATASET, trained, tested, same)
        chosen = chosen_layers(n_layers, layers)
        if len(chosen) > 1:
            yield Transfer(LAYER, tested, tested, [(layer, at) for layer in chosen for at in chosen])


def chosen_layers(n_layers: int, n: int) -> list[int]:
    """Return up to n layers that are evenly spread, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, n_layers - 1, min(n, n_layers))})


def rows_of(transfer: Transfer, *, draws: int, seed: int, level: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each step of a transfer; none if a split leaves no statements of both classes to test."""
    trained, tested = transfer.trained.curve, transfer.tested.curve
    statements, others = held_out(trained, tested), held_out(tested, trained)
    names = tested.names | {"transferred": transfer.differ}
    if transfer.differ != LAYER:
        names |= {"from": trained.names[transfer.differ], "to": tested.names[transfer.differ]}
    if not can_be_tested(tested, statements):
        said = "%s, %s: from %s to %s nothing of both classes is left to test: their groups overlap"
        log.warning(said, tested.names["perturbation"], tested.names["probe"], names["from"], names["to"])
        return
    share = float(np.mean([len(trained_on(trained, split)) for split in trained.splits])) / len(trained.labels)
    n_held_out = float(np.mean([len(split.test) for split in tested.splits]))
    n_test = float(np.mean([len(test) for test in statements]))
    moved, own, like = decided(transfer, statements, others, seed, level)
    in_place, at_home = (with_decisions(tested, statements, decisions) for decisions in (moved, own))
    weights = group_weights(tested.groups, draws=draws, seed=seed)
    known = transfer.trained.learned[[layer for layer, _ in transfer.steps]]
    columns = scores(in_place, at_home, share, known, weights, level)
    for number, (layer, at) in enumerate(transfer.steps):
        step = {"from": str(layer), "to": str(at)} if transfer.differ == LAYER else {}
        sizes = {"n_layers": len(transfer.tested.vectors), "n_test": n_test, "n_left_out": n_held_out - n_test}
        found = {name: values[number] for name, values in columns.items()}
        places = {"layer": layer, "layer_of_vectors": at}
        yield {**names, **step, **places, **sizes, **found, "majority": majority(in_place), **like[number]}


def decided(
    transfer: Transfer,
    statements: Sequence[NDArray[np.int64]],
    others: Sequence[NDArray[np.int64]],
    seed: int,
    level: float,
) -> tuple[list[Values], list[Values], list[dict[str, float]]]:
    """Return decisions of the transferred and of the place's own probe, by split (n_steps, n_test), and both cosines.

    ``statements`` are those of the place that are tested, ``others`` those of where the probe was trained, by split.
    Two layers of vectors are in memory at a time.
    """
    moved: list[list[Values]] = [[] for _ in statements]
    own: list[list[Values]] = [[] for _ in statements]
    like = []
    labels = transfer.tested.curve.labels
    splits = list(zip(transfer.trained.curve.splits, transfer.tested.curve.splits))
    for layer, at in transfer.steps:
        there = transfer.trained.vectors[layer].astype(np.float64)
        here = transfer.tested.vectors[at].astype(np.float64)
        first = [weights[layer] for weights in transfer.trained.coefficients]
        second = [weights[at] for weights in transfer.tested.coefficients]
        for number, test in enumerate(statements):
            moved[number].append(decide(here[test], first[number]))
            own[number].append(decide(here[test], second[number]))
        sides = [
            (
                Side(there, trained_on(transfer.trained.curve, one), other_test),
                Side(here, trained_on(transfer.tested.curve, other), test),
            )
            for (one, other), test, other_test in zip(splits, statements, others)
        ]
        directions = [[weights[:-1] for weights in each] for each in (first, second)]
        like.append(likeness(*directions, sides, labels, seed=seed, level=level))
    return [np.stack(values) for values in moved], [np.stack(values) for values in own], like


def measure_transfer(
    activations: Sequence[str], probes: Sequence[str], *, layers: int, intervals: Mapping[str, Any]
) -> pd.DataFrame:
    """Return a row for each layer of each transfer, named by the place where the probe is tested."""
    chosen = {key: intervals[key] for key in ("draws", "seed", "level")}
    with ExitStack() as files:
        opened = [files.enter_context(open_activations(path)) for path in activations]
        probed = [each for cell in zip(opened, probes, strict=True) for each in probed_in(*cell, **chosen)]
        found = list(transfers(probed, layers))
        rows = [row for each in tqdm(found, unit="transfer", mininterval=5) for row in rows_of(each, **chosen)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


if __name__ == "__main__":
    with job(snakemake), threadpool_limits(snakemake.threads):
        table = measure_transfer(
            snakemake.input.activations,
            snakemake.input.probes,
            layers=snakemake.params.transfer["layers"],
            intervals=snakemake.params.intervals,
        )
        with complete_file(snakemake.output.transfer) as part:
            table.to_csv(part, index=False, na_rep="NaN")
