"""Put the drift of all models and datasets into one table, and log each comparison in a sentence."""

import pandas as pd
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CELL
from conceptdepth.provenance.job import job, log

PAIR = [*CELL, "compared", "first", "second"]
"""Columns that name two cells that were compared."""

if __name__ == "__main__":
    with job(snakemake):
        table = pd.concat([pd.read_csv(path) for path in snakemake.input.drift], ignore_index=True)
        with complete_file(snakemake.output.drift) as part:
            table.to_csv(part, index=False, na_rep="NaN")
        measured = table.groupby(PAIR, sort=False)[["relative_change", "cka", "transfer_change"]].mean()
        for pair, means in measured.iterrows():
            names = dict(zip(PAIR, pair))
            log.info(
                "%s, %s: %s to %s (%s, %s): vectors change by %.2g of their length, CKA %.4f, probes lose %.3f",
                *(names[name] for name in ("model", "dataset", "first", "second", "quantization", "perturbation")),
                *(means["relative_change"], means["cka"], -means["transfer_change"]),
            )
