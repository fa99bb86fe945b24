"""Check the depth estimators on synthetic activations whose truth is known."""

import pandas as pd
from conceptdepth.depth.estimates import IntervalSettings
from conceptdepth.depth.simulation import Simulation, coverage, onset, signals, simulate
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file
from conceptdepth.provenance.job import job, log


def simulate_coverage(simulation: Simulation, *, repetitions: int, threads: int) -> pd.DataFrame:
    """Return a row for each signal and quantity."""
    if not repetitions:
        raise UserError("simulation.repetitions is 0, so that there is nothing to simulate; 200 take minutes.")
    tables = {
        name: coverage(
            simulate(signal, simulation, repetitions=repetitions, threads=threads, title=name),
            simulation,
            first_layer=onset(signal),
        )
        for name, signal in signals().items()
    }
    return pd.concat(tables, names=["signal"]).reset_index("signal").assign(repetitions=repetitions)


if __name__ == "__main__":
    with job(snakemake):
        settings = snakemake.params.simulation
        intervals = {key: settings[key] for key in ("draws", "permutations")}
        table = simulate_coverage(
            Simulation(
                settings["pairs"], snakemake.params.depth, IntervalSettings(**snakemake.params.intervals | intervals)
            ),
            repetitions=settings["repetitions"],
            threads=snakemake.threads,
        )
        with complete_file(snakemake.output.coverage) as part:
            table.to_csv(part, index=False, na_rep="NaN", float_format="%.4g")
        known = table["coverage"].dropna()
        wrong = (known < snakemake.params.intervals["level"] - 0.1).sum()
        log.info("%d of %d intervals hold the truth less often than they say by more than a tenth", wrong, len(known))
