"""Compare the activations of a model on one dataset between weight formats and between perturbations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import h5py
import numpy as np
import pandas as pd
from conceptdepth.activations.store import open_activations, read_labels, vectors_of
from conceptdepth.depth.drift import measures, transfer
from conceptdepth.depth.pairs import pairs
from conceptdepth.depth.resampling import group_weights
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CELL, PROBED
from conceptdepth.probes.predictions import Curve, Split, facts_of, read_coefficients, read_curves
from conceptdepth.provenance.job import job, log
from threadpoolctl import threadpool_limits
from tqdm import tqdm


class Files:
    """The activations and the probes of one cell."""

    def __init__(self, activations: str, probes: str) -> None:
        self.activations, self.probes = activations, probes
        self.names = facts_of(probes, *CELL)


def compared(files: Sequence[Files], order: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Files, Files]]:
    """Yield each column of ``order`` with two cells that differ in it alone, of which one has its first value."""
    for column, values in order.items():
        for first, second in sorted(pairs([cell.names for cell in files], column, values[0])):
            yield column, files[first], files[second]


def drift(
    first: Files, second: Files, *, outlier: float, draws: int, seed: int, level: float
) -> Iterator[dict[str, Any]]:
    """Yield a row for each site, position, probe and layer."""
    with open_activations(first.activations) as one, open_activations(second.activations) as other:
        if not np.array_equal(read_labels(one).ids, read_labels(other).ids):
            raise ValueError(f"{first.activations} and {second.activations} are of other statements")
        were, became = vectors_of(one), vectors_of(other)
        moved: dict[tuple[str, str], list[dict[str, float]]] = {}
        for place, vectors in were.items():
            # Positions of the same tokens in both are measured once.
            same = next((at for at in moved if were[at] == vectors and became[at] == became[place]), None)
            pairs_of_layers = zip(vectors, became[place])
            moved[place] = moved[same] if same else [measures(*pair, outlier=outlier) for pair in pairs_of_layers]
        own = {_probed(curve): curve for curve in read_curves(second.probes)}
        for curve in read_curves(first.probes):
            *place, _ = probed = _probed(curve)
            if tuple(place) not in moved:
                continue
            weights = group_weights(curve.groups, draws=draws, seed=seed)
            tested = transferred(curve, first.probes, became[tuple(place)])
            columns = transfer(curve, tested, own[probed], weights, level)
            for layer, measured in enumerate(moved[tuple(place)]):
                scores = {name: values[layer] for name, values in columns.items()}
                yield {**dict(zip(PROBED, probed)), "layer": layer, **measured, **scores}


def warn_of_few(activations: str) -> None:
    """Say if there are so few statements that their vectors look alike whatever they are."""
    with open_activations(activations) as file:
        for place, vectors in vectors_of(file).items():
            _, n, d = vectors.shape
            if n < d:
                told = "%s: of %d statements with %d features cka is too high, cka_debiased is not"
                log.warning(told, ", ".join(place), n, d)


def _probed(curve: Curve) -> tuple[str, ...]:
    return tuple(curve.names[name] for name in PROBED)


def transferred(curve: Curve, probes: str, vectors: h5py.Dataset) -> Curve | None:
    """Return a curve with its probes' predictions on other vectors, shape (n_layers, n_statements, d_model).

    None if the probes are not linear, so that no coefficients are kept.
    """
    coefficients = read_coefficients(probes, *_probed(curve))
    if coefficients is None:
        return None
    predicted = [np.empty_like(split.predicted) for split in curve.splits]
    for layer, all_vectors in enumerate(vectors):
        for number, split in enumerate(curve.splits):
            weights = coefficients[number][layer]
            predicted[number][layer] = all_vectors[split.test] @ weights[:-1] + weights[-1] > 0
    splits = tuple(Split(split.test, found) for split, found in zip(curve.splits, predicted))
    return replace(curve, splits=splits)


def measure_drift(
    files: Sequence[Files], *, order: Mapping[str, Sequence[str]], outlier: float, intervals: Mapping[str, Any]
) -> pd.DataFrame:
    """Return a row for each layer of each pair of cells, named by the second of the pair."""
    chosen = {key: intervals[key] for key in ("draws", "seed", "level")}
    warn_of_few(files[0].activations)
    rows = [
        {**second.names, "compared": column, "first": first.names[column], "second": second.names[column], **row}
        for column, first, second in tqdm(list(compared(files, order)), unit="pair", mininterval=5)
        for row in drift(first, second, outlier=outlier, **chosen)
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    with job(snakemake), threadpool_limits(snakemake.threads):
        table = measure_drift(
            [Files(*paths) for paths in zip(snakemake.input.activations, snakemake.input.probes)],
            order=snakemake.params.order,
            outlier=snakemake.params.drift["outlier"],
            intervals=snakemake.params.intervals,
        )
        with complete_file(snakemake.output.drift) as part:
            table.to_csv(part, index=False, na_rep="NaN")
