"""Check the claims of the configuration about what models use, say and share between datasets."""

import pandas as pd
from conceptdepth.depth.claims import OF_USE, as_claims, sentences
from conceptdepth.depth.interventions import most_thorough
from conceptdepth.depth.verdicts import check_claims, of_run
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CELL
from conceptdepth.provenance.job import job, log


def with_use(
    depths: pd.DataFrame, causal: pd.DataFrame, lens: pd.DataFrame, transfer: pd.DataFrame | None
) -> pd.DataFrame:
    """Return cells with the quantities of what is used, ``depths`` being those of their first probe.

    ``lens_depth`` is the first layer whose answers are in the right order, ``lens_gap`` how much deeper that lies than
    the probe's first layer above chance, ``transfer`` the mean area above a half of probes of other datasets.
    """
    used = causal[causal["method"] == most_thorough(causal["method"])].set_index(list(CELL))
    table = depths.join(used[["causal_onset", "readout_gap", "effect_where_readable", "onset_of_probe"]], on=list(CELL))
    said = lens.set_index(list(CELL))["first_auc_above_chance"].rename("lens_depth")
    table = table.join(said, on=list(CELL))
    table["lens_gap"] = table["lens_depth"] - table["onset_of_probe"]
    if transfer is None:
        return table
    others = transfer[(transfer["transferred"] == "dataset") & (transfer["from"] != transfer["to"])]
    return table.join(others.groupby(list(CELL))["auc"].mean().sub(0.5).rename("transfer"), on=list(CELL))


if __name__ == "__main__":
    with job(snakemake):
        intervals, claims = snakemake.params.intervals, list(as_claims(snakemake.params.claims))
        depths = of_run(pd.read_csv(snakemake.input.depths), snakemake.params.kinds)
        tables = [pd.read_csv(snakemake.input[name]) for name in ("causal", "lens")]
        transfer = next((pd.read_csv(path) for path in snakemake.input.transfer), None)
        table = with_use(depths, *tables, transfer)
        new = [(name, claim) for name, claim in claims if claim.quantity in OF_USE]
        checked = check_claims("run", table, new, level=intervals["level"], correction=intervals["correction"])
        with complete_file(snakemake.output.claims) as part:
            checked.to_csv(part, index=False, na_rep="NaN")
        for sentence in sentences(checked, intervals["level"]):
            log.info("%s", sentence)
