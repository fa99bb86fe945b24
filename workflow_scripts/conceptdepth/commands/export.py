"""Export the probes of a run: a folder for each cell that can be passed on, and used without the run."""

from collections.abc import Sequence
from pathlib import Path

from conceptdepth.ground.text import counted
from conceptdepth.interface.export import export_probes, left_out


def run(to: Path, *, models: Sequence[str], datasets: Sequence[str]) -> int:
    """Export the cells of these models and datasets, or of all, and say where they lie."""
    folders = export_probes(to, models=models, datasets=datasets)
    for folder in folders:
        print(folder)
    size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
    without = f"; not exported: {', '.join(left_out())}" if left_out() else ""
    print(f"{counted(len(folders), 'cell')}, {size / 1e6:.1f} MB; what each holds stands in its README.md{without}")
    return 0
