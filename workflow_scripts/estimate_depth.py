"""Find the depths of every cell, with intervals, and test which layers are above chance and above the baselines."""

import math
from collections.abc import Sequence

import pandas as pd
from conceptdepth.depth.cells import depth_table, estimate_all, tests_of
from conceptdepth.depth.draws import write_draws
from conceptdepth.depth.estimates import Estimate
from conceptdepth.depth.resampling import IntervalSettings
from conceptdepth.depth.uncertainty import adjusted
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.hdf5 import new_hdf5
from conceptdepth.provenance.job import job, log
from conceptdepth.provenance.record import PREFIX


def warn_of_few(table: pd.DataFrame, settings: IntervalSettings) -> None:
    """Say if draws or permutations are so few that one curve among so many could not be called, whatever it is."""
    n, alone = len(set(tests_of(table))), 1e-9
    times = adjusted([alone, *[1.0] * (n - 1)], settings.correction)[0] / alone  # What adjustment makes of one p value.
    combined = 2 if table["n_seeds"].max() > 1 else 1
    for name, given, smallest in (
        ("permutations", settings.permutations, combined),
        ("draws", settings.draws, 1),
    ):
        enough = math.ceil(smallest * times / (1 - settings.level))
        if 0 < given < enough - 1:
            log.warning("intervals.%s: one of %d curves alone could not be called; %d would be enough", name, n, enough)


def layer_table(estimates: Sequence[Estimate]) -> pd.DataFrame:
    """Return a row for each layer of each curve."""
    return pd.concat(
        [pd.DataFrame({**found.names, "layer": range(found.facts["n_layers"]), **found.layers}) for found in estimates],
        ignore_index=True,
    )


if __name__ == "__main__":
    with job(snakemake) as record:
        settings = IntervalSettings(**snakemake.params.intervals)
        estimates = estimate_all(
            snakemake.input.probes, snakemake.input.baselines, depth=snakemake.params.depth, settings=settings
        )
        tables = {
            snakemake.output.depths: depth_table(estimates, settings),
            snakemake.output.layers: layer_table(estimates),
        }
        for destination, table in tables.items():
            with complete_file(destination) as part:
                # "NaN" in words: an empty field could be taken for a value that was forgotten.
                table.to_csv(part, index=False, na_rep="NaN")
        depths = tables[snakemake.output.depths]
        above = depths["above_baselines"].eq(True).tolist()  # NaN, where that was not tested, is not.
        with complete_file(snakemake.output.draws) as part, new_hdf5(part) as file:
            file.attrs["record"] = PREFIX + record.id
            write_draws(file, estimates, above)
        above_chance = (depths["p_above_chance_adjusted"] <= 1 - settings.level).sum()
        warn_of_few(depths, settings)
        log.info("%d curves: %d above chance, %d above their baselines", len(depths), above_chance, sum(above))
        if few := depths["mostly_converged"].eq(False).sum():
            log.warning("of %d curves most probes did not converge: their depths depend on rounding", few)
