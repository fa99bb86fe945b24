"""Train and test the probes of all layers of one cell."""

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import pandas as pd
from conceptdepth.files import complete_file
from conceptdepth.job import job, log
from conceptdepth.probes import LayerProbe, ProbeSettings, Split, splits_of, train_layer
from conceptdepth.provenance import PREFIX
from conceptdepth.store import open_activations, read_labels
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm


def train_probes(
    activations: str,
    *,
    cell: Mapping[str, str],
    settings: ProbeSettings,
    threads: int,
    scores: str,
    probes: str,
    record: str,
) -> None:
    """Write the scores of every layer, site and split as CSV, and coefficients and predictions as HDF5."""
    rows: list[dict[str, Any]] = []
    with open_activations(activations) as source, complete_file(probes) as part, h5py.File(part, "w") as target:
        held = read_labels(source)
        target.attrs["record"] = PREFIX + record
        target.create_dataset("id", data=held.ids, dtype=h5py.string_dtype())
        target.create_dataset("label", data=held.labels)
        splits = list(splits_of(held.labels, held.groups, settings))
        for site, vectors in source["activations"].items():
            fitted = train_layers(vectors, held.labels, splits, settings, threads, site)
            for number, (seed, _, test) in enumerate(splits):
                probes_of_split = [layer[number] for layer in fitted]
                rows += [
                    {**cell, "site": site, "probe": "logistic_regression", "layer": layer, "n_layers": len(fitted)}
                    | {"seed": seed, **probe.scores}
                    for layer, probe in enumerate(probes_of_split)
                ]
                keep(target.create_group(f"{site}/seed_{seed}"), probes_of_split, test)
    table = pd.DataFrame(rows)
    with complete_file(scores) as part:
        table.to_csv(part, index=False)
    log.info("%d of %d probes converged", table["converged"].sum(), len(table))


def train_layers(
    vectors: h5py.Dataset,
    labels: np.ndarray,
    splits: Sequence[Split],
    settings: ProbeSettings,
    threads: int,
    title: str,
) -> list[list[LayerProbe]]:
    """Train the probes of all layers and splits, layers in parallel, each read from the file once."""

    def train_splits(features: np.ndarray) -> list[LayerProbe]:
        return [
            train_layer(features, labels, train, test, C=settings.C, max_iter=settings.max_iter)
            for _, train, test in splits
        ]

    # Threads, not processes: the solver's time is in BLAS, which releases the interpreter lock.
    with threadpool_limits(1):
        return Parallel(n_jobs=threads, prefer="threads")(
            delayed(train_splits)(vectors[layer])
            for layer in tqdm(range(len(vectors)), desc=title, unit="layer", mininterval=5)
        )


def keep(group: h5py.Group, fitted: list[LayerProbe], test: np.ndarray) -> None:
    """Store coefficients (n_layers, d_model + 1), test indices (n_test,), decisions (n_layers, n_test)."""
    group.create_dataset("coefficients", data=np.stack([probe.coefficients for probe in fitted]))
    group.create_dataset("test", data=test)
    group.create_dataset("decision", data=np.stack([probe.decision for probe in fitted]))


if __name__ == "__main__":
    with job(snakemake) as record:
        train_probes(
            snakemake.input.activations,
            cell=dict(snakemake.wildcards.items()),
            settings=ProbeSettings(**snakemake.params.probes),
            threads=snakemake.threads,
            scores=snakemake.output.scores,
            probes=snakemake.output.probes,
            record=record.id,
        )
