"""What a run ends with: where its results are."""

from collections.abc import Iterator
from pathlib import Path

from conceptdepth.commands.converged import converged_line


def summary(folder: Path) -> Iterator[str]:
    """Give the lines that a person reads when a run in a folder is done."""
    yield converged_line(folder)
    yield f"Figures  {folder / 'results/figures'}/   (accuracy.png first)"
    yield f"Tables   {folder / 'results/tables'}/    (concept_depth.csv, layer_scores.csv)"
    yield f"Report   {folder / 'results/report.html'}"
    yield f"Audit    {folder / 'results/audit.html'}, or: make audit"
