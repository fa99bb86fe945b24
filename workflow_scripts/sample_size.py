"""Say how many test statements a wanted resolution of depth takes, from the predictions of a finished run.

    python workflow_scripts/sample_size.py [--resolution 0.1] [--quantity gain_centre ...] [--json]

For each cell: how wide the interval of a depth is now, and how many statements must be tested for one that is at most
as wide as the resolution, as a share of all layers. docs/depth.md says what is assumed.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from conceptdepth.configuration.settings import chosen_grid
from conceptdepth.depth.sample_size import QUANTITIES, interval_widths, needed
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.probes.predictions import Curve, read_curves
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

CONFIGURATION = Path("results/tables/configuration.yaml")

DEFAULT = ("converging_point_published", "near_peak_depth", "gain_centre")


def main() -> int:
    """Print what the command line asks for."""
    arguments = parse_arguments()
    try:
        rows = list(sample_sizes(arguments.quantity or DEFAULT, arguments.resolution, arguments.draws))
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(rows, indent=1))
    else:
        show(rows, arguments.resolution)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="sample_size.py"
    )
    parser.add_argument("--resolution", type=share, default=0.1, help="widest interval, a share of the layers (0.1)")
    parser.add_argument(
        "--quantity",
        action="append",
        choices=QUANTITIES,
        help=f"a depth, more than once for several ({', '.join(DEFAULT)})",
    )
    parser.add_argument("--draws", type=int, default=500, help="bootstrap draws of each size (500)")
    parser.add_argument(
        "--json", action="store_true", help="print JSON; null is more than the largest size that is tried"
    )
    return parser.parse_args()


def share(text: str) -> float:
    """Read a number between 0 and 1."""
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


def sample_sizes(quantities: Sequence[str], resolution: float, draws: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each quantity of each cell of the run that `CONFIGURATION` describes."""
    if not CONFIGURATION.is_file():
        raise UserError(f"there is no {CONFIGURATION}: this needs the results of a run, `make run`.")
    config = yaml.safe_load(CONFIGURATION.read_text("utf-8"))
    chosen = {"level": config["intervals"]["level"], "seed": config["intervals"]["seed"]}
    for curve in track(list(curves(config)), "cells", console=Console(stderr=True), transient=True):
        widths = interval_widths(curve, depth=config["depth"], draws=draws, **chosen)
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
    """Yield the curve of each cell at the first site, with the first probe."""
    grid = chosen_grid(config)
    for model in grid["model"]:
        for quantization in grid["quantization"]:
            for dataset in grid["dataset"]:
                for perturbation in grid["perturbation"]:
                    path = Path(f"results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5")
                    if not path.is_file():
                        raise UserError(f"there is no {path}: run the workflow first, `make run`.")
                    yield next(found for found in read_curves(str(path)) if found.names["site"] != EMBEDDING)


def show(rows: Sequence[Mapping[str, Any]], resolution: float) -> None:
    """Print the rows as a table."""
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 10_000)
    numbers = [Column(title, justify="right") for title in ("tested", "interval", "to test")]
    names = ("model", "format", "dataset", "perturbation", "depth")
    table = Table(*names, *numbers, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        width = "none" if row["width"] is None else f"{row['width']:.3f}"
        items = f"> {row['largest_tried']:,}" if row["needed"] is None else f"{row['needed']:,}"
        cell = [row[name] for name in ("model", "quantization", "dataset", "perturbation", "quantity")]
        table.add_row(*cell, f"{row['n_test']:,}", width, items)
    console.print(table)
    console.print()
    console.print(
        f"To test: statements in the test part of a split for an interval at most {resolution:g} wide, if others are"
    )
    console.print(
        "as those that were tested and probes stay as they are. Interval: how wide it is now, in shares of the layers."
    )


if __name__ == "__main__":
    sys.exit(main())
