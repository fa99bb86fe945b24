"""Measure how much of depth and accuracy is the choice of position, wording, site, split and statements."""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pandas as pd
from conceptdepth.depth.comparison import ACCURACIES
from conceptdepth.depth.definitions import gain_centre, peak
from conceptdepth.depth.draws import moved, open_draws
from conceptdepth.depth.variance import SPLIT, variance_rows
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CONCEPT, CONTROL_FORMATS, CURVE, EMBEDDING
from conceptdepth.provenance.job import job, log

CONCEPTS = ["model", "quantization", "dataset", "probe"]
"""Columns of what an answer is of, whatever way it is read."""

QUANTITIES = ("gain_centre", "peak_accuracy")
"""What is an answer: the depth that can be trusted most, and the accuracy that is published most."""

COLUMNS = [
    *CONCEPTS, "quantity", "factor", "levels", "distinct_levels", "pairs", "sd", "sd_noise", "sd_beyond_noise", "share",
    "lowest", "lowest_mean", "highest", "highest_mean", "largest_difference", "n_curves", "n_without",
]  # fmt: skip


COUNTS = ("levels", "distinct_levels", "pairs", "n_curves", "n_without")
"""Columns of whole numbers."""


def measure_variance(scores: pd.DataFrame, file: h5py.File) -> pd.DataFrame:
    """Return a row for each concept, quantity and factor; ``file`` is ``results/depth/draws.h5``.

    ``scores`` is ``layer_scores.csv``, of which controls are left out.
    """
    chosen = (scores["target"] == CONCEPT) & (scores["site"] != EMBEDDING)
    scores = scores[chosen & ~scores["quantization"].isin(CONTROL_FORMATS)]
    rows = [
        {**dict(zip(CONCEPTS, names)), **row}
        for names, of_concept in scores.groupby(CONCEPTS, sort=False)
        for row in of_one_concept(of_concept, file)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COUNTS, "Int64"))


def of_one_concept(scores: pd.DataFrame, file: h5py.File) -> Iterator[dict[str, Any]]:
    """Yield a row for each quantity and factor of one concept; curves not above their baselines have no depth."""
    found = [(names, by_split(rows)) for names, rows in scores.groupby(list(CURVE), sort=False)]
    curves = pd.DataFrame([names for names, _ in found], columns=list(CURVE))
    above, tokens = ([file["/".join(names)].attrs[fact] for names, _ in found] for fact in ("above", "same_tokens_as"))
    # One under several names is one that reads the same tokens in the same words at the same site.
    things = curves.assign(tokens=tokens).groupby(["perturbation", "site", "tokens"], sort=False).ngroup()
    for quantity in QUANTITIES:
        draws = moved(file, curves, quantity)
        answers = pd.concat([
            curves.loc[[number]].merge(answers_of(splits, quantity), how="cross")
            .assign(curve=number, thing=things[number])
            for number, (_, splits) in enumerate(found)
        ], ignore_index=True)  # fmt: skip
        if quantity not in ACCURACIES:
            answers["value"] = answers["value"].where(np.array(above, dtype=bool)[answers["curve"]])
        for row in variance_rows(answers, draws.loc[:, 1:].sub(draws[0], axis=0)):
            yield {"quantity": quantity, **row}


def by_split(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracies of one curve, a row for each split, a column for each layer."""
    return scores.pivot(index=SPLIT, columns="layer", values="accuracy")


def answers_of(accuracy: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return ``seed`` and ``value`` of each split of a curve, whose accuracies have the shape (n_splits, n_layers)."""
    values = gain_centre(accuracy) if quantity == "gain_centre" else peak(accuracy)[0]
    return pd.DataFrame({SPLIT: accuracy.index, "value": values})


if __name__ == "__main__":
    with job(snakemake):
        with open_draws(snakemake.input.draws) as draws:
            table = measure_variance(pd.read_csv(snakemake.input.scores), draws)
        with complete_file(snakemake.output.variance) as part:
            table.to_csv(part, index=False, na_rep="NaN")
        means = table.groupby(["quantity", "factor"], sort=False)[["sd", "share"]].mean()
        for (quantity, factor), row in means.iterrows():
            log.info("%s by %s: standard deviation %.3f, share %.2f, on average", quantity, factor, *row)
