"""What a run ends with: how many of its probes converged, and where its results are."""

import csv
from collections.abc import Iterator
from pathlib import Path

from conceptdepth.ground.errors import explained

TABLE = "results/tables/concept_depth.csv"


def summary(folder: Path) -> Iterator[str]:
    """Give the lines that a person reads when a run in a folder is done."""
    yield converged(folder)
    yield f"Figures  {folder / 'results/figures'}/   (accuracy.png first)"
    yield f"Tables   {folder / 'results/tables'}/    (concept_depth.csv, layer_scores.csv)"
    yield f"Report   {folder / 'results/report.html'}"
    yield f"Audit    {folder / 'results/audit.html'}, or: make audit"


def converged(folder: Path) -> str:
    """Say how many probes of a finished run in a folder converged, and of how many curves most did not."""
    with explained(f"{TABLE} is damaged"), Path(folder, TABLE).open(encoding="utf-8", newline="") as file:
        curves = list(csv.DictReader(file))
        sizes = [int(curve["n_layers"]) * int(curve["n_seeds"]) for curve in curves]
        n_converged = sum(round(float(curve["converged"]) * size) for curve, size in zip(curves, sizes))
    if n_converged == sum(sizes):
        return f"Probes   {n_converged:,}, all converged"
    few = sum(curve["mostly_converged"] == "False" for curve in curves)
    return (
        f"Probes   {n_converged:,} of {sum(sizes):,} converged; most did not in {few} of {len(curves)} curves ({TABLE})"
    )
