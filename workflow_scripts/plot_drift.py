"""Draw what weight formats and perturbations do to activations, and to probes that are transferred, layer by layer."""

from collections.abc import Iterator

import matplotlib as mpl
import pandas as pd
from conceptdepth.figures.style import (
    CHANCE,
    COLOURS,
    LEAST_WIDTH,
    STYLE,
    Labels,
    legend_below,
    panel_inches,
    probed_in,
    rows_of,
    save_for_job,
    title_lines,
    told_apart,
    word,
)
from conceptdepth.provenance.job import job
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

TITLES = {
    "relative_change": "Change of vectors\n(share of their length)",
    "transfer_change": "Change of accuracy\nof the first's probe",
}
"""Column -> what its row of panels shows."""

ROW_LABEL = 0.5
"""Inches of the labels of rows, at the left of the first panel."""

WHOLE_TICKS = {"axes.autolimit_mode": "round_numbers", "axes.ymargin": 0}
"""Axes from one labelled tick to another: a logarithmic one within a decade would have a single label."""


def plot_drift(drift: pd.DataFrame, labels: Labels) -> Figure:
    """Draw two rows of panels for each site, position, probe and model, a panel for each dataset, comparisons as lines.

    ``drift`` is ``activation_drift.csv``. What is not compared is held at its first value.
    """
    lines, every = list(comparisons(drift)), probed_in(drift)
    models, datasets = list(labels["models"]), list(labels["datasets"])
    blocks = [(probed, model) for probed in every for model in models]
    panels = [(*block, column) for block in blocks for column in TITLES]
    with mpl.rc_context(STYLE | WHOLE_TICKS):
        figure, axes = plt.subplots(
            len(panels),
            len(datasets),
            figsize=(max(LEAST_WIDTH, 0.9 + 2.6 * len(datasets)), 0.4 + 2.0 * len(panels) + 0.3 * len(blocks[1:])),
            sharex=True,
            sharey="row",
            squeeze=False,
        )
        for row, (probed, model, column) in zip(axes, panels):
            for axis, dataset in zip(row, datasets):
                for number, (_, shown) in enumerate(lines):
                    cell = rows_of(shown[(shown["model"] == model) & (shown["dataset"] == dataset)], probed)
                    draw_line(axis, cell.sort_values("layer"), column, COLOURS[number % len(COLOURS)])
                axis.set_xlim(0, 1)
            row[0].set_ylabel(TITLES[column])
        for row, (probed, model) in zip(axes[:: len(TITLES)], blocks):
            names = [labels["models"][model]["label"] if len(models) > 1 else "", told_apart(probed, every)]
            for axis, dataset in zip(row, datasets):
                inches = panel_inches(figure, len(datasets)) - ROW_LABEL / len(datasets)
                axis.set_title(title_lines(labels["datasets"][dataset]["label"], *names, inches=inches))
        for axis in axes[-1]:
            axis.set_xlabel("Relative depth (layer / number of layers)", fontsize=8)
        handles = [
            Line2D([], [], color=COLOURS[number % len(COLOURS)], label=name) for number, (name, _) in enumerate(lines)
        ]
        legend_below(figure, handles, columns=min(len(handles), 4))
    return figure


def comparisons(drift: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield what is compared, in words, and its rows: those in which nothing else differs from the first of the run."""
    firsts = {column: rows["first"].iloc[0] for column, rows in drift.groupby("compared", sort=False)}
    for column, rows in drift.groupby("compared", sort=False):
        for other, first in firsts.items():
            if other != column:
                rows = rows[rows[other] == first]
        for second, shown in rows.groupby("second", sort=False):
            yield f"{word(firsts[column])} to {word(str(second))}", shown


def draw_line(axis: Axes, rows: pd.DataFrame, column: str, colour: str) -> None:
    """Draw one comparison: relative changes on a logarithmic axis, changes of accuracy with their interval."""
    depth = rows["layer"] / (rows["layer"].max() + 1)
    if column == "relative_change":
        axis.plot(depth, rows[column].where(rows[column] > 0), color=colour)
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")  # The one of logarithmic axes writes TeX, which STYLE leaves as it is.
        axis.yaxis.set_minor_formatter(NullFormatter())
        return
    axis.axhline(0, **CHANCE)
    axis.fill_between(depth, rows[f"{column}_low"], rows[f"{column}_high"], color=colour, alpha=0.15, linewidth=0)
    axis.plot(depth, rows[column], color=colour)


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_drift(pd.read_csv(snakemake.input.drift), snakemake.params.labels)
        save_for_job(figure, snakemake, record.id)
