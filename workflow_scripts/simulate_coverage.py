"""Check estimates, intervals and tests on synthetic activations whose truth is known."""

from collections.abc import Mapping

import pandas as pd
from conceptdepth.depth.coverage import coverage
from conceptdepth.depth.resampling import IntervalSettings
from conceptdepth.depth.simulation import cases, simulate
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file
from conceptdepth.provenance.job import job, log


def simulate_coverage(
    *, pairs: int, repetitions: int, depth: Mapping[str, float], intervals: IntervalSettings, threads: int
) -> pd.DataFrame:
    """Return a row for each experiment and each quantity and test."""
    if not repetitions:
        raise UserError("simulation.repetitions is 0, so that there is nothing to simulate; 200 take minutes.")
    chosen = {"repetitions": repetitions, "depth": depth, "intervals": intervals, "threads": threads}
    tables = {
        name: coverage(simulate(case, title=name, **chosen), case, depth=depth, level=intervals.level)
        for name, case in cases(2 * pairs).items()
    }
    return pd.concat(tables, names=["experiment"]).reset_index("experiment").assign(repetitions=repetitions)


if __name__ == "__main__":
    with job(snakemake):
        settings = dict(snakemake.params.simulation)
        resampled = {key: settings.pop(key) for key in ("draws", "permutations")}
        intervals = IntervalSettings(**snakemake.params.intervals | resampled)
        table = simulate_coverage(
            **settings, depth=snakemake.params.depth, intervals=intervals, threads=snakemake.threads
        )
        with complete_file(snakemake.output.coverage) as part:
            table.to_csv(part, index=False, na_rep="NaN", float_format="%.4g")
        too_few = (table["coverage"] + 3 * table["coverage_error"] < intervals.level).sum()
        too_often = (table["false_alarms"] - 3 * table["false_alarms_error"] > 1 - intervals.level).sum()
        log.info("of %d intervals %d hold the truth too seldom", table["coverage"].notna().sum(), too_few)
        log.info("of %d tests %d call what is not there too often", table["false_alarms"].notna().sum(), too_often)
