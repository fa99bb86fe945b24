"""Train and test the probes of all layers of one cell."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import pandas as pd
from conceptdepth.activations.store import Labels, open_activations, read_labels, vectors_of, weights_of
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.hdf5 import new_hdf5
from conceptdepth.ground.names import CONFIDENCE, PROBED
from conceptdepth.probes.estimators import ProbeSettings
from conceptdepth.probes.layers import rows_of, train_layers, with_selectivity
from conceptdepth.probes.nuisances import Nuisances, nuisances_of
from conceptdepth.probes.predictions import split_group
from conceptdepth.probes.splits import splits_of
from conceptdepth.probes.tasks import CONTROL_TASK, Task, has_control_task, tasks_of
from conceptdepth.probes.training import LayerProbe
from conceptdepth.provenance.job import job, log
from conceptdepth.provenance.record import PREFIX

Place = tuple[str, str]
"""A site and a position."""


def train_probes(
    activations: str,
    *,
    prompts: Sequence[str] = (),
    answers: Sequence[str] = (),
    cell: Mapping[str, str],
    settings: ProbeSettings,
    controls: Mapping[str, Any],
    threads: int,
    scores: str,
    probes: str,
    record: str,
) -> None:
    """Write the scores of every layer, site, position, probe, target and split as CSV, the rest as HDF5.

    Positions of a site that are the same vectors, as the last token of a prompt and of its text are if the prompt ends
    with the text, share their probes. ``prompts`` and ``answers`` are the cell's files of these, or nothing where no
    nuisance of ``controls`` is read from them.
    """
    rows: dict[Place, list[dict[str, Any]]] = {}
    with open_activations(activations) as source, complete_file(probes) as part, new_hdf5(part) as target:
        held, weights = read_labels(source), weights_of(source)
        target.attrs["record"] = PREFIX + record
        target.attrs.update({**cell, "weights": weights})
        target.create_dataset("id", data=held.ids, dtype=h5py.string_dtype())
        target.create_dataset("label", data=held.labels)
        target.create_dataset("group", data=held.groups, dtype=h5py.string_dtype())
        nuisances = nuisances_of_cell(held, controls.get("partial_out", ()), prompts, answers)
        tasks = tasks_of_cell(held, settings, controls["targets"], nuisances)
        places = vectors_of(source, embedding=controls["embedding_layer"])
        names = {name: list(dict.fromkeys(values)) for name, values in zip(("sites", "positions"), zip(*places))}
        target.attrs.update({**names, "probes": list(settings.kinds)})  # Groups of HDF5 have no order of their own.
        for place, vectors in places.items():
            name = dict(zip(PROBED, place))
            if same := next((other for other in rows if places[other] == vectors), None):
                rows[place] = [row | name for row in rows[same]]
                target["/".join(place)] = target["/".join(same)]
                continue
            rows[place] = []
            for layers in zip(*train_layers(vectors, tasks, settings, threads, ", ".join(place))):
                name |= {"probe": layers[0].kind, "target": layers[0].task.target}
                seed = layers[0].task.seed
                rows[place] += rows_of(layers, {**cell, "weights": weights, **name}, seed)
                keep(target.create_group(split_group(**name, seed=seed)), layers)
    table = with_selectivity(pd.DataFrame(itertools.chain(*rows.values())))
    with complete_file(scores) as part:
        table.to_csv(part, index=False)
    log.info("%d of %d probes converged", table["converged"].sum(), len(table))


def nuisances_of_cell(
    held: Labels, chosen: Sequence[str], prompts: Sequence[str], answers: Sequence[str]
) -> Nuisances | None:
    """Return what is taken out of the features of a cell's statements, None if nothing is."""
    rows = [row for path in prompts for row in read_prompts(path)]
    given = {path: [row["id"] for row in rows] for path in prompts}
    confidence = None
    for path in answers:
        table = pd.read_csv(path, dtype={"id": str}, keep_default_na=False)
        if CONFIDENCE not in table:
            raise UserError(f"{path} is of an older version: it has no column {CONFIDENCE}; delete it and run again.")
        given[path], confidence = table["id"].tolist(), table[CONFIDENCE].to_numpy(dtype=float)
    for path, ids in given.items():
        if ids != held.ids.tolist():
            raise UserError(f"{path} is not of the statements whose vectors are read; delete it and run again.")
    return nuisances_of(chosen, n_tokens=held.n_tokens, prompts=rows, confidence=confidence)


def tasks_of_cell(
    held: Labels, settings: ProbeSettings, controls: Sequence[str], nuisances: Nuisances | None = None
) -> list[Task]:
    """Return what the probes of every layer are trained for."""
    if CONTROL_TASK in controls and not has_control_task(held.groups):
        log.warning("no control task: it needs groups of two or more statements")
    splits = splits_of(held.labels, held.groups, settings)
    return list(
        tasks_of(
            held.labels,
            held.groups,
            splits,
            controls=controls,
            choose=settings.choose,
            nuisances=nuisances,
        )
    )


def keep(group: h5py.Group, layers: Sequence[LayerProbe]) -> None:
    """Store test indices (n_test,), the target's labels of these (n_test,), decisions (n_layers, n_test), 1 where
    the solver converged and 0 where not (n_layers,), and of a linear probe coefficients (n_layers, d_model + 1).
    """
    task = layers[0].task
    group.create_dataset("test", data=task.test)
    group.create_dataset("label", data=task.labels[task.test])
    group.create_dataset("decision", data=np.stack([probe.decision for probe in layers]))
    group.create_dataset("converged", data=np.array([probe.scores["converged"] for probe in layers], dtype=np.int8))
    linear = [probe.coefficients for probe in layers if probe.coefficients is not None]
    if linear:
        group.create_dataset("coefficients", data=np.stack(linear))


if __name__ == "__main__":
    with job(snakemake) as record:
        train_probes(
            snakemake.input.activations,
            prompts=snakemake.input.get("prompts", ()),
            answers=snakemake.input.get("answers", ()),
            cell=dict(snakemake.wildcards.items()),
            settings=ProbeSettings(**snakemake.params.probes),
            controls=snakemake.params.controls,
            threads=snakemake.threads,
            scores=snakemake.output.scores,
            probes=snakemake.output.probes,
            record=record.id,
        )
