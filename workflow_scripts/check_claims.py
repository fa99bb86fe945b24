"""Check the claims of the configuration against the run, and against the numbers that the paper's authors published."""

import pandas as pd
from conceptdepth.depth.claims import as_claims, sentences
from conceptdepth.depth.draws import open_draws
from conceptdepth.depth.published import PERTURBATION, QUANTIZATION, counted_from_0
from conceptdepth.depth.verdicts import check_claims, of_run
from conceptdepth.ground.files import complete_file
from conceptdepth.provenance.job import job, log


def of_paper(points: pd.DataFrame, models: pd.DataFrame, datasets: pd.DataFrame) -> pd.DataFrame:
    """Return the published cells in the words of a run. Nothing says which are above a baseline: all count."""
    table = points.merge(models, on="model").merge(datasets, on="dataset")
    return table.assign(
        quantization=QUANTIZATION,
        perturbation=PERTURBATION,
        parameters=table["billion_parameters"],
        converging_point=counted_from_0(table["converge_pct"] / 100, table["n_layers"]),
        peak_accuracy=table["peak_acc_pct"] / 100,
        above_baselines=True,
    )


if __name__ == "__main__":
    with job(snakemake):
        claims, intervals = list(as_claims(snakemake.params.claims)), snakemake.params.intervals
        level = intervals["level"]
        chosen = {"level": level, "correction": intervals["correction"]}
        run = of_run(pd.read_csv(snakemake.input.depths), snakemake.params.kinds)
        published = of_paper(*(pd.read_csv(path) for path in snakemake.input.published))
        with open_draws(snakemake.input.draws) as draws:
            checked = pd.concat(
                [
                    check_claims("run", run, claims, draws=draws, **chosen),
                    check_claims("published", published, claims, **chosen),
                ]
            )
        with complete_file(snakemake.output.claims) as part:
            checked.to_csv(part, index=False, na_rep="NaN")
        for sentence in sentences(checked, level):
            log.info("%s", sentence)
