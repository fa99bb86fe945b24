"""Hold the claims of the configuration against the run, and against the numbers that the paper's authors published."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd
from conceptdepth.depth.claims import Claim, as_claims, effect_of, sentences, verdict
from conceptdepth.depth.published import PERTURBATION, QUANTIZATION
from conceptdepth.depth.resampling import adjusted
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CONTROL_FORMATS, PROBED
from conceptdepth.ground.tables import at_first
from conceptdepth.provenance.job import job, log


def of_run(depths: pd.DataFrame, kinds: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the cells of a run at its first site and probe with family and size of their models, and domains.

    Without controls, of which no claim speaks.
    """
    table = at_first(depths[~depths["quantization"].isin(CONTROL_FORMATS)], PROBED)
    models = pd.DataFrame.from_dict(kinds["models"], orient="index", columns=["family", "parameters"])
    return table.join(models, on="model").assign(domain=table["dataset"].map(kinds["domains"]))


def of_paper(points: pd.DataFrame, models: pd.DataFrame, datasets: pd.DataFrame) -> pd.DataFrame:
    """Return the published cells in the words of a run."""
    table = points.merge(models, on="model").merge(datasets, on="dataset")
    return table.assign(
        quantization=QUANTIZATION,
        perturbation=PERTURBATION,
        parameters=table["billion_parameters"],
        converging_point_published=table["converge_pct"] / 100,
        peak_accuracy=table["peak_acc_pct"] / 100,
    )


def check_claims(
    source: str, table: pd.DataFrame, claims: Mapping[str, Claim], *, level: float, correction: str
) -> pd.DataFrame:
    """Return a row for each claim."""
    found = {
        name: effect_of(table.assign(**{claim.quantity: table.get(claim.quantity, float("nan"))}), claim, level=level)
        for name, claim in claims.items()
    }
    p_adjusted = adjusted([effect.p for effect in found.values()], correction)
    rows = [
        {"source": source, "claim": name, **asdict(claims[name]), **asdict(effect), "p_adjusted": p}
        | {"verdict": verdict(claims[name], effect, p, level=level)}
        for (name, effect), p in zip(found.items(), p_adjusted)
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    with job(snakemake):
        claims, level = as_claims(snakemake.params.claims), snakemake.params.intervals["level"]
        tables = {
            "run": of_run(pd.read_csv(snakemake.input.depths), snakemake.params.kinds),
            "published": of_paper(*(pd.read_csv(path) for path in snakemake.input.published)),
        }
        checked = pd.concat(
            [
                check_claims(name, table, claims, level=level, correction=snakemake.params.intervals["correction"])
                for name, table in tables.items()
            ]
        )
        with complete_file(snakemake.output.claims) as part:
            checked.to_csv(part, index=False, na_rep="NaN")
        for sentence in sentences(checked, level):
            log.info("%s", sentence)
