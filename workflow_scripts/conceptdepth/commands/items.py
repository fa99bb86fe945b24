"""Say how many test statements a wanted resolution of depth takes, from the predictions of a finished run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Column

from conceptdepth.commands.screen import plain_table, screen
from conceptdepth.configuration.settings import chosen_grid, each_cell
from conceptdepth.depth.sample_size import interval_widths, needed
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import CELL, EMBEDDING
from conceptdepth.probes.predictions import Curve, read_curves

CONFIGURATION = Path("results/tables/configuration.yaml")


def run(quantities: Sequence[str], *, resolution: float, draws: int, as_json: bool) -> int:
    """Print a row for each quantity of each cell, as a table or as JSON."""
    rows = list(sample_sizes(quantities, resolution, draws))
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        show(rows, resolution)
    return 0


def sample_sizes(quantities: Sequence[str], resolution: float, draws: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each quantity of each cell of the run that `CONFIGURATION` describes."""
    if not CONFIGURATION.is_file():
        raise UserError(f"there is no {CONFIGURATION}: this needs the results of a run, `make run`.")
    config = yaml.safe_load(CONFIGURATION.read_text("utf-8"))
    chosen = {"level": config["intervals"]["level"], "seed": config["intervals"]["seed"]}
    for curve in track(list(curves(config)), "cells", console=Console(stderr=True), transient=True):
        widths = interval_widths(curve, draws=draws, **chosen)
        n_test = int(np.mean([len(split.test) for split in curve.splits]))
        now = widths.iloc[np.abs(widths.index.to_numpy() - n_test).argmin()]
        for quantity in quantities:
            items = needed(widths[quantity], resolution)
            yield {
                **curve.names,
                "quantity": quantity,
                "n_test": n_test,
                "width": now[quantity] if np.isfinite(now[quantity]) else None,
                "needed": int(np.ceil(items)) if np.isfinite(items) else None,
                "largest_tried": int(widths.index[-1]),
            }


def curves(config: Mapping[str, Any]) -> Iterator[Curve]:
    """Yield the curve of each cell at the first site and position, with the first probe."""
    for cell in each_cell(chosen_grid(config)):
        path = Path("results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5".format(**cell))
        if not path.is_file():
            raise UserError(f"there is no {path}: run the workflow first, `make run`.")
        yield next(found for found in read_curves(str(path)) if found.names["site"] != EMBEDDING)


def show(rows: Sequence[Mapping[str, Any]], resolution: float) -> None:
    """Print the rows as a table."""
    console = screen()
    numbers = [Column(title, justify="right") for title in ("tested", "interval", "to test")]
    names = ("model", "format", "dataset", "perturbation", "quantity")
    table = plain_table(*names, *numbers)
    for row in rows:
        width = "none" if row["width"] is None else f"{row['width']:.3f}"
        items = f"> {row['largest_tried']:,}" if row["needed"] is None else f"{row['needed']:,}"
        cell = [row[name] for name in (*CELL, "quantity")]
        table.add_row(*cell, f"{row['n_test']:,}", width, items)
    console.print(table)
    console.print()
    console.print(
        f"To test: statements in the test part of a split for an interval at most {resolution:g} wide, if others are"
    )
    console.print(
        "as those that were tested and probes stay as they are. Interval: how wide it is now, a share of layers for the"
    )
    console.print(
        "centre of gain, which is that of noise where no layer is above chance, and of statements for the accuracy."
    )
