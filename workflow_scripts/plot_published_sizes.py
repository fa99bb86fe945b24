"""Draw published converging points and peaks against the size of the model, a line for each family."""

import matplotlib as mpl
import pandas as pd
from conceptdepth.figures.published import add_published_legend
from conceptdepth.figures.style import CHANCE, COLOURS, STYLE, save_for_job
from conceptdepth.provenance.job import job
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

QUANTITIES = {
    "converge_pct": "Converging point, % of layers (the authors' count, two layers on)",
    "peak_acc_pct": "Peak test accuracy, %",
}
"""Column of ``site_peak_converge.csv`` -> what it is."""

LIMITS = {"converge_pct": (0, 108), "peak_acc_pct": (47, 103)}
"""Column -> limits of its axis."""

SIZES = (0.5, 1, 2, 4, 8, 16)
"""Ticks of the axis of sizes."""

MARKERS = {"Gemma": "o", "LLaMA": "s", "Qwen": "^"}
"""Family -> marker."""

FEWER_STATEMENTS = ("Gemma-2B", "Common")
"""The cell that was probed on fewer, balanced statements (resources/published/README.md)."""


def plot_published_sizes(points: pd.DataFrame, models: pd.DataFrame, datasets: pd.DataFrame) -> Figure:
    """Draw the tables of ``resources/published/``: for each quantity a grid of panels, one for each dataset."""
    table = points.merge(models, on="model")
    with mpl.rc_context(STYLE):
        figure = plt.figure(figsize=(13, 6.4))
        grids = figure.subfigures(1, len(QUANTITIES), wspace=0.04)
        for grid, column in zip(grids, QUANTITIES):
            draw_grid(grid, table, datasets, column)
        add_legend(figure)
    return figure


def draw_grid(grid: SubFigure, table: pd.DataFrame, datasets: pd.DataFrame, column: str) -> None:
    """Draw one quantity, a panel for each dataset."""
    axes = grid.subplots(3, 3, sharex=True, sharey=True)
    grid.suptitle(QUANTITIES[column], fontsize=10.5)
    for axis, dataset in zip(axes.flat, datasets.to_dict("records")):
        draw_families(axis, table[table["dataset"] == dataset["dataset"]], column)
        if column == "peak_acc_pct":
            axis.axhline(100 * dataset["majority"], **CHANCE)
        axis.set_title(dataset["dataset"])
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_xticks(SIZES, [f"{size:g}" for size in SIZES])
    axes[0, 0].minorticks_off()
    axes[0, 0].set_ylim(LIMITS[column])
    for axis in axes[-1]:
        axis.set_xlabel("Billion parameters")


def draw_families(axis: Axes, table: pd.DataFrame, column: str) -> None:
    """Draw a line for each family, over the sizes of its models."""
    for (family, marker), colour in zip(MARKERS.items(), COLOURS):
        of_family = table[table["family"] == family].sort_values("billion_parameters")
        fewer = (of_family["model"] == FEWER_STATEMENTS[0]) & (of_family["dataset"] == FEWER_STATEMENTS[1])
        axis.plot(of_family["billion_parameters"], of_family[column], color=colour, linewidth=1.3)
        for part, face in ((of_family[~fewer], colour), (of_family[fewer], "white")):
            axis.plot(
                part["billion_parameters"], part[column], color=colour, marker=marker, linestyle="",
                markersize=5.5, markerfacecolor=face,
            )  # fmt: skip


def add_legend(figure: Figure) -> None:
    """Name lines and markers below the panels, and whose numbers they are."""
    handles = [
        Line2D([], [], color=colour, marker=marker, label=family)
        for (family, marker), colour in zip(MARKERS.items(), COLOURS)
    ]
    handles.append(
        Line2D([], [], color=COLOURS[0], marker="o", linestyle="", markerfacecolor="white", label="fewer statements")
    )
    add_published_legend(figure, handles)


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_published_sizes(
            *(pd.read_csv(snakemake.input[table]) for table in ("points", "models", "datasets"))
        )
        save_for_job(figure, snakemake, record.id)
