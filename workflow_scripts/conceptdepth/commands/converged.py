"""How many probes of a run converged, in a line for its summary."""

import csv
from pathlib import Path

TABLE = "results/tables/concept_depth.csv"


def converged_line(folder: Path) -> str:
    """Say how many probes of a finished run in a folder converged, and of how many curves most did not."""
    with Path(folder, TABLE).open(encoding="utf-8", newline="") as file:
        curves = list(csv.DictReader(file))
    sizes = [int(curve["n_layers"]) * int(curve["n_seeds"]) for curve in curves]
    converged = sum(round(float(curve["converged"]) * size) for curve, size in zip(curves, sizes))
    if converged == sum(sizes):
        return f"Probes   {converged:,}, all converged"
    few = sum(curve["mostly_converged"] == "False" for curve in curves)
    return (
        f"Probes   {converged:,} of {sum(sizes):,} converged; most did not in {few} of {len(curves)} curves ({TABLE})"
    )
