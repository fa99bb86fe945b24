"""Put the transfers of all models and weight formats into one table, and log each between datasets in a sentence."""

import pandas as pd
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CURVE
from conceptdepth.provenance.job import job, log

if __name__ == "__main__":
    with job(snakemake):
        # Names of layers stand beside those of datasets.
        names = dict.fromkeys([*CURVE, "from", "to"], str)
        table = pd.concat([pd.read_csv(path, dtype=names) for path in snakemake.input.transfer], ignore_index=True)
        with complete_file(snakemake.output.transfer) as part:
            table.to_csv(part, index=False, na_rep="NaN")
        between = table[(table["transferred"] == "dataset") & (table["from"] != table["to"])]
        for curve, means in between.groupby([*CURVE, "from"], sort=False)[["auc", "auc_in_domain"]].mean().iterrows():
            *place, trained = curve
            said = "%s: area of the probe of %s %.3f, of its own %.3f (means over layers)"
            log.info(said, ", ".join(place), trained, means["auc"], means["auc_in_domain"])
