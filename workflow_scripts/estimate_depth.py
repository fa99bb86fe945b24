"""Find the depths of every cell, each with an interval, and test whether any layer is above chance."""

from collections.abc import Iterator, Mapping, Sequence

import h5py
import pandas as pd
from conceptdepth.estimates import Estimate, IntervalSettings, estimate, resamples, with_intervals
from conceptdepth.files import complete_file
from conceptdepth.job import job, log
from conceptdepth.predictions import read_curves
from conceptdepth.provenance import PREFIX
from conceptdepth.resampling import adjusted
from tqdm import tqdm


def estimate_all(
    probes: Sequence[str], *, depth: Mapping[str, float], settings: IntervalSettings
) -> Iterator[Estimate]:
    """Yield the estimates of every curve. Cells of a dataset share its draws, so that they are paired."""
    of_dataset = {}
    for path in tqdm(probes, unit="cell", mininterval=5):
        for curve in read_curves(path):
            dataset = curve.names["dataset"]
            if dataset not in of_dataset:
                of_dataset[dataset] = resamples(curve, settings)
            yield estimate(curve, of_dataset[dataset], depth=dict(depth), settings=settings)


def depth_table(estimates: Sequence[Estimate], settings: IntervalSettings) -> pd.DataFrame:
    """Return a row for each curve, with p values adjusted for the number of curves."""
    table = pd.DataFrame([with_intervals(found, settings.level) for found in estimates])
    p_values = table["p_above_chance"]
    table.insert(
        table.columns.get_loc("p_above_chance") + 1, "p_above_chance_adjusted", adjusted(p_values, settings.correction)
    )
    return table


def layer_table(estimates: Sequence[Estimate]) -> pd.DataFrame:
    """Return a row for each layer of each curve."""
    return pd.concat(
        [pd.DataFrame({**found.names, "layer": range(found.facts["n_layers"]), **found.layers}) for found in estimates],
        ignore_index=True,
    )


def write_draws(estimates: Sequence[Estimate], destination: str, *, record: str) -> None:
    """Write each quantity of each draw, shape (draws,), with its value as attribute: what comparisons are made of."""
    with complete_file(destination) as part, h5py.File(part, "w") as file:
        file.attrs["record"] = PREFIX + record
        for found in estimates:
            group = file.create_group("/".join(found.names.values()))
            group.attrs.update(found.names)
            for name, draws in found.draws.items():
                group.create_dataset(name, data=draws).attrs["value"] = found.values[name]


if __name__ == "__main__":
    with job(snakemake) as record:
        settings = IntervalSettings(**snakemake.params.intervals)
        estimates = list(estimate_all(snakemake.input.probes, depth=snakemake.params.depth, settings=settings))
        tables = {
            snakemake.output.depths: depth_table(estimates, settings),
            snakemake.output.layers: layer_table(estimates),
        }
        for destination, table in tables.items():
            with complete_file(destination) as part:
                # "NaN" in words: an empty field could be taken for a value that was forgotten.
                table.to_csv(part, index=False, na_rep="NaN")
        write_draws(estimates, snakemake.output.draws, record=record.id)
        above = tables[snakemake.output.depths]["p_above_chance_adjusted"] <= 1 - settings.level
        log.info("%d curves, %d above chance", len(above), above.sum())
