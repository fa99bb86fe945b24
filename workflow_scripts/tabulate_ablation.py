"""Put accuracy and depths of every cell beside those under each switch alone, and under all."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from conceptdepth.depth.definitions import describe_curve
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import SCORED
from conceptdepth.provenance.job import job, log
from conceptdepth.provenance.kept import release

NO_SWITCH = "none"
"""What stands in the column ``switch`` for the cell as the run has it."""


def tabulate(own: pd.DataFrame, switched: pd.DataFrame, depth: Mapping[str, float]) -> pd.DataFrame:
    """Return a row for each curve and switch, each curve's own first, with what the switch changes.

    Both tables have the columns of ``layer_scores.csv``, ``switched`` has ``switch`` too. A depth that either side does
    not have has no change.
    """
    scores = pd.concat([own.assign(switch=NO_SWITCH), switched], ignore_index=True)
    return pd.DataFrame(
        row
        for names, curves in scores.groupby(list(SCORED), sort=False)
        for row in rows(dict(zip(SCORED, names)), curves, depth)
    )


def rows(names: Mapping[str, str], scores: pd.DataFrame, depth: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one curve: its own, then those under each switch, with ``<measure>_change`` from its own."""
    own: dict[str, float] = {}
    for switch, curves in scores.groupby("switch", sort=False):
        found = measures(curves, depth)
        own = own or found
        sizes = {
            "n_train": curves["n_train"].iloc[0],
            "n_test": curves["n_test"].iloc[0],
            "n_seeds": curves["seed"].nunique(),
        }
        yield {**names, "switch": switch, **sizes, **found} | {f"{key}_change": found[key] - own[key] for key in found}


def measures(curves: pd.DataFrame, depth: Mapping[str, float]) -> dict[str, float]:
    """Return what is compared of the curves of all splits: means over layers, and the depths of their mean."""
    by_layer = curves.groupby("layer")[["accuracy", "auc"]].mean()
    means = {"mean_accuracy": by_layer["accuracy"].mean(), "mean_auc": by_layer["auc"].mean()}
    return means | describe_curve(by_layer["accuracy"], **depth)


if __name__ == "__main__":
    with job(snakemake):
        own, switched = (
            pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
            for paths in (snakemake.input.own, snakemake.input.switched)
        )
        table = tabulate(own, switched, snakemake.params.depth)
        with complete_file(snakemake.output.ablation) as part:
            table.to_csv(part, index=False, na_rep="NaN")
        for folder in Path("results/ablation").glob("*/activations/*/*"):
            release(folder)
        log.info("%d rows, of which %d under a switch", len(table), (table["switch"] != NO_SWITCH).sum())
