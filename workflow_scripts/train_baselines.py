"""Train and test classifiers of the words of prompts, without a model, on the splits of the probes."""

from collections.abc import Mapping, Sequence

import h5py
import numpy as np
import pandas as pd
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.hdf5 import new_hdf5
from conceptdepth.ground.names import CONCEPT, PROMPT
from conceptdepth.probes.baselines import train_baseline
from conceptdepth.probes.predictions import LOGISTIC_REGRESSION, split_group
from conceptdepth.probes.splits import SplitSettings, splits_of
from conceptdepth.probes.tasks import tasks_of
from conceptdepth.provenance.job import job, log
from conceptdepth.provenance.record import PREFIX
from threadpoolctl import threadpool_limits


def train_baselines(
    prompts: str,
    *,
    names: Mapping[str, str],
    baselines: Sequence[str],
    settings: SplitSettings,
    scores: str,
    predictions: str,
    record: str,
) -> pd.DataFrame:
    """Write the scores of each baseline and split as CSV and predictions as HDF5, laid out as those of probes."""
    rows = read_prompts(prompts)
    texts, groups = (np.array([row[key] for row in rows], dtype=object) for key in ("prompt", "group"))
    labels = np.array([row["label"] for row in rows], dtype=np.int8)
    splits = splits_of(labels, groups, settings)
    tasks = list(tasks_of(labels, groups, splits, controls=[], choose=True))
    found = []
    with complete_file(predictions) as part, new_hdf5(part) as file:
        file.attrs.update({"record": PREFIX + record, **names, **names_of(baselines)})
        file.create_dataset("label", data=labels)
        file.create_dataset("group", data=groups, dtype=h5py.string_dtype())
        for name in baselines:
            for probe in train_baseline(name, texts, tasks):
                seed = probe.task.seed
                group = file.create_group(split_group(name, PROMPT, LOGISTIC_REGRESSION, CONCEPT, seed))
                group.create_dataset("test", data=probe.task.test)
                group.create_dataset("decision", data=probe.decision[np.newaxis])
                found.append({**names, "baseline": name, "position": PROMPT, "seed": seed, **probe.scores})
    table = pd.DataFrame(found)
    with complete_file(scores) as part:
        table.to_csv(part, index=False)
    return table


def names_of(baselines: Sequence[str]) -> dict[str, list[str]]:
    """Return what a file of probes has in the place of these: baselines by name, one position and one probe."""
    return {"sites": sorted(baselines), "positions": [PROMPT], "probes": [LOGISTIC_REGRESSION]}


if __name__ == "__main__":
    with job(snakemake) as record:
        with threadpool_limits(1):
            table = train_baselines(
                snakemake.input.prompts,
                names=dict(snakemake.wildcards.items()),
                baselines=snakemake.params.baselines,
                settings=SplitSettings(**snakemake.params.split),
                scores=snakemake.output.scores,
                predictions=snakemake.output.predictions,
                record=record.id,
            )
        for name, accuracy in table.groupby("baseline", sort=False)["accuracy"].mean().items():
            log.info("%s: accuracy %.3f", name, accuracy)
