"""Put the models' own answers in all cells into one table of rates."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CELL
from conceptdepth.provenance.job import job
from sklearn.metrics import roc_auc_score


def rates(cell: pd.DataFrame) -> dict[str, Any]:
    """Return how right a model's answers in one cell are; it says class 1 where log-odds are above 0.

    Each rate is a share of the class that the error can happen to: false positives of class 0, false negatives of
    class 1. The released code divides each by the size of the other class.
    """
    is_1, says_1 = cell["label"] == 1, cell["log_odds"] > 0
    return {
        "n": len(cell),
        "majority": max(is_1.mean(), 1 - is_1.mean()),
        "accuracy": (is_1 == says_1).mean(),
        "auc": roc_auc_score(is_1, cell["log_odds"]),
        "false_positive_rate": says_1[~is_1].mean(),
        "false_negative_rate": (~says_1)[is_1].mean(),
        "answered": cell["answered"].mean(),
        "mass": cell["mass"].mean(),
    }


def collect_answers(answers: Sequence[str], destination: str) -> None:
    """Write a row for each cell, in the order given."""
    cells = [pd.read_csv(path) for path in answers]
    table = pd.DataFrame([{**cell.loc[0, list(CELL)], **rates(cell)} for cell in cells])
    with complete_file(destination) as part:
        table.to_csv(part, index=False)


if __name__ == "__main__":
    with job(snakemake):
        collect_answers(snakemake.input.answers, snakemake.output.answers)
