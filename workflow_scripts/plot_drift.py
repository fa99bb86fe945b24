"""Draw what weight formats and perturbations do to activations, and to probes that are transferred, layer by layer."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import matplotlib as mpl
import pandas as pd
from conceptdepth.figures.style import (
    CHANCE,
    LEAST_WIDTH,
    STYLE,
    Labels,
    columns_of,
    look_of,
    name_depths,
    panel_inches,
    place_legend,
    probed_in,
    rows_of,
    save_for_job,
    title_lines,
    word,
)
from conceptdepth.provenance.job import job
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

TITLES = {
    "relative_change": "Change of each vector\n(share of its length)",
    "transfer_change": "Accuracy change of a probe\ntrained before the change",
}
"""Column -> what its row of panels shows."""

ROW_LABEL = 0.5
"""Inches of the labels of rows, at the left of the first panel."""

WHOLE_TICKS = {"axes.autolimit_mode": "round_numbers", "axes.ymargin": 0}
"""Axes from one labelled tick to another: a logarithmic one within a decade would have a single label."""


def plot_drift(drift: pd.DataFrame, labels: Labels) -> Figure:
    """Draw two rows of panels for each site, position, probe and model, a panel for each dataset, comparisons as lines.

    ``drift`` is ``activation_drift.csv``. What is not compared is held at its first value. More than four datasets
    have several such pairs of rows.
    """
    lines, every = list(comparisons(drift)), probed_in(drift)
    models, datasets = list(labels["models"]), list(labels["datasets"])
    columns = columns_of(len(datasets))
    parts = [datasets[first : first + columns] for first in range(0, len(datasets), columns)]
    blocks = [(probed, model, part) for probed in every for model in models for part in parts]
    with mpl.rc_context(STYLE | WHOLE_TICKS):
        figure, axes = plt.subplots(
            len(TITLES) * len(blocks),
            columns,
            figsize=(max(LEAST_WIDTH, 0.9 + 2.6 * columns), 0.4 + 4.0 * len(blocks) + 0.3 * len(blocks[1:])),
            sharex=True,
            sharey="row",
            squeeze=False,
        )
        inches = panel_inches(figure, columns) - ROW_LABEL / columns
        for number, (probed, model, part) in enumerate(blocks):
            rows = axes[len(TITLES) * number : len(TITLES) * (number + 1)]
            names = [labels["models"][model]["label"] if len(models) > 1 else "", every[probed]]
            for row, above, column in zip(rows, axes[len(TITLES) * (number - number % len(parts)) :], TITLES):
                if row is not above and number % len(parts):  # Parts of a block share their scale.
                    row[0].sharey(above[0])
                row[0].set_ylabel(TITLES[column])
                for axis, dataset in zip_longest(row, part):
                    if dataset is None:
                        axis.set_axis_off()
                        continue
                    for place, (_, shown) in enumerate(lines):
                        cell = rows_of(shown[(shown["model"] == model) & (shown["dataset"] == dataset)], probed)
                        draw_line(axis, cell.sort_values("layer"), column, look_of(place))
                    axis.set_xlim(0, 1)
            for axis, dataset in zip(rows[0], part):
                axis.set_title(title_lines(labels["datasets"][dataset]["label"], *names, inches=inches))
            name_depths(rows[-1][: len(part)])
        handles = [Line2D([], [], label=name, **look_of(number)) for number, (name, _) in enumerate(lines)]
        place_legend(figure, handles, columns=min(len(handles), 4))
    return figure


def comparisons(drift: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield what is compared, in words, and its rows: those in which nothing else differs from the first of the run."""
    firsts = {column: rows["first"].iloc[0] for column, rows in drift.groupby("compared", sort=False)}
    for column, rows in drift.groupby("compared", sort=False):
        for other, first in firsts.items():
            if other != column:
                rows = rows[rows[other] == first]
        for second, shown in rows.groupby("second", sort=False):
            yield f"from {word(firsts[column])} to {word(str(second))}", shown


def draw_line(axis: Axes, rows: pd.DataFrame, column: str, look: dict[str, Any]) -> None:
    """Draw one comparison: relative changes on a logarithmic axis, changes of accuracy with their interval."""
    depth = rows["layer"] / (rows["layer"].max() + 1)
    if column == "relative_change":
        axis.plot(depth, rows[column].where(rows[column] > 0), **look)
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")  # The one of logarithmic axes writes TeX, which STYLE leaves as it is.
        axis.yaxis.set_minor_formatter(NullFormatter())
        return
    axis.axhline(0, **CHANCE)
    axis.fill_between(
        depth, rows[f"{column}_low"], rows[f"{column}_high"], color=look["color"], alpha=0.15, linewidth=0
    )
    axis.plot(depth, rows[column], **look)


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_drift(pd.read_csv(snakemake.input.drift), snakemake.params.labels)
        save_for_job(figure, snakemake, record.id)
