"""Put the findings of all datasets into one table."""

import pandas as pd
from conceptdepth.ground.files import complete_file
from conceptdepth.provenance.job import job, log

if __name__ == "__main__":
    with job(snakemake):
        table = pd.concat([pd.read_csv(path) for path in snakemake.input.findings], ignore_index=True)
        with complete_file(snakemake.output.findings) as part:
            table.to_csv(part, index=False, na_rep="NaN")
        for row in table[table["verdict"] == "warning"].to_dict("records"):
            log.warning("%s: %s", row["dataset"], row["finding"])
