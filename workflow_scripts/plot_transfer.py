"""Draw probes of one dataset on another: areas at three layers as matrices, and at every layer as lines."""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from conceptdepth.figures.panels import (
    make_room_for_titles,
    name_depths,
    panel_inches,
    place_legend,
    title_lines,
)
from conceptdepth.figures.style import CHANCE, STYLE, Labels, look_of, probed_in, rows_of, save_for_job, word
from conceptdepth.ground.names import PROBED
from conceptdepth.ground.tables import at_first
from conceptdepth.provenance.job import job
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

LAYERS = {"first above baselines": "onset", "middle layer": "middle", "best layer": "peak"}
"""Title of a matrix -> the layer of its rows, see `layers_of`."""

COLUMNS = len(LAYERS)
"""Panels side by side."""

TEXT_FROM = 0.25
"""Areas as far as this from 0.5 are written in white."""


def plot_transfer(transfer: pd.DataFrame, depths: pd.DataFrame, labels: Labels) -> Figure:
    """Draw ``transfer.csv`` between datasets, with the layers of ``concept_depth.csv`` at which matrices are taken.

    Each model, site, position and probe has three matrices, a row for each dataset that was trained on, and a panel of
    lines for each of these. Weight format and rendering are held at their first value.
    """
    shown = transfer[transfer["transferred"] == "dataset"]
    shown = at_first(shown, ["quantization", "perturbation"])
    depths = at_first(depths, ["quantization", "perturbation"])
    models, datasets = list(labels["models"]), labels["datasets"]
    every = probed_in(shown)
    blocks = [(model, probed) for model in models for probed in every]
    rows = 1 + math.ceil(len(datasets) / COLUMNS)
    with mpl.rc_context(STYLE):
        figure, grid = plt.subplots(
            rows * len(blocks),
            COLUMNS,
            figsize=(10.2, (0.9 + max(1.6, 0.34 * len(datasets)) + 2.1 * (rows - 1)) * len(blocks)),
            squeeze=False,
            height_ratios=[max(1.6, 0.34 * len(datasets)), *[1.6] * (rows - 1)] * len(blocks),
        )
        inches = panel_inches(figure, COLUMNS)
        for number, (model, probed) in enumerate(blocks):
            of_block = rows_of(shown[shown["model"] == model], probed)
            found = layers_of(rows_of(depths[depths["model"] == model], probed), list(datasets))
            names = [labels["models"][model]["label"] if len(models) > 1 else "", every[probed]]
            first, *others = grid[rows * number : rows * (number + 1)]
            for axis, (title, column) in zip(first, LAYERS.items()):
                draw_matrix(axis, matrix_of(of_block, found[column], list(datasets)), labels, rows=axis is first[0])
                axis.set_title(title_lines(*names, title, inches=inches))
            lines = [axis for row in others for axis in row]
            for axis, (trained, entry) in zip(lines, datasets.items()):
                draw_lines(axis, of_block[of_block["from"] == trained], list(datasets))
                axis.set_title(title_lines(f"trained on {entry['label']}", inches=inches))
            for axis in lines[len(datasets) :]:
                axis.remove()
            name_depths([lines[place] for place in range(len(datasets)) if place + COLUMNS >= len(datasets)])
            for row in others:
                row[0].set_ylabel("Area under the ROC curve", fontsize=8)
        make_room_for_titles(figure, len(blocks))
        handles = [
            Line2D([], [], label=f"tested on {entry['label']}", **look_of(number))
            for number, entry in enumerate(datasets.values())
        ]
        handles.append(Line2D([], [], label="chance", **CHANCE))
        fixed = [word(str(shown[key].iloc[0])) for key in ("quantization", "perturbation")]
        place_legend(figure, handles, columns=4, title=", ".join(fixed))
    return figure


def layers_of(depths: pd.DataFrame, datasets: list[str]) -> Mapping[str, pd.Series]:
    """Return by dataset the first layer above its baselines, NaN if none is, the middle one and the best one."""
    of_dataset = depths.set_index("dataset").loc[datasets]
    n = of_dataset["n_layers"]
    return {
        "onset": (of_dataset["first_above_baseline"] * n).round(),
        "middle": n // 2,
        "peak": (of_dataset["peak_depth"] * n).round(),
    }


def matrix_of(transfer: pd.DataFrame, layers: "pd.Series", datasets: list[str]) -> pd.DataFrame:
    """Return areas, a row for each dataset that was trained on, at its own layer, a column for each that is tested."""
    at = transfer[transfer["layer"] == transfer["from"].map(layers)]
    return at.pivot(index="from", columns="to", values="auc").reindex(index=datasets, columns=datasets)


def draw_matrix(axis: Axes, matrix: pd.DataFrame, labels: Labels, *, rows: bool) -> None:
    """Draw a matrix with its numbers, white at 0.5; ``rows`` says whether its rows are named."""
    axis.imshow(np.ma.masked_invalid(matrix.to_numpy(dtype=float)), cmap="RdBu_r", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(matrix.to_numpy(dtype=float)):
        look: dict[str, Any] = {"color": "white" if abs(value - 0.5) > TEXT_FROM else "black"}
        text = "–" if np.isnan(value) else f"{value:.2f}"
        axis.text(column, row, text, ha="center", va="center", fontsize=8 if len(matrix) < 6 else 6, **look)
    names = [labels["datasets"][name]["label"] for name in matrix.index]
    axis.set_xticks(range(len(names)), names, fontsize=7, rotation=20 if len(names) < 6 else 60, ha="right")
    axis.set_yticks(range(len(names)), [f"from {name}" for name in names] if rows else [], fontsize=7)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


def draw_lines(axis: Axes, transfer: pd.DataFrame, datasets: list[str]) -> None:
    """Draw the areas of the probes of one dataset at every layer, a line with its interval for each that is tested."""
    axis.axhline(0.5, **CHANCE)
    for number, tested in enumerate(datasets):
        rows = transfer[transfer["to"] == tested].sort_values("layer")
        depth, look = rows["layer"] / rows["n_layers"], look_of(number)
        axis.fill_between(depth, rows["auc_low"], rows["auc_high"], color=look["color"], alpha=0.12, linewidth=0)
        axis.plot(depth, rows["auc"], **look)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.02)


if __name__ == "__main__":
    with job(snakemake) as record:
        names = dict.fromkeys([*PROBED, "from", "to"], str)
        figure = plot_transfer(
            pd.read_csv(snakemake.input.transfer, dtype=names),
            pd.read_csv(snakemake.input.depths),
            snakemake.params.labels,
        )
        save_for_job(figure, snakemake, record.id)
