"""Draw what weight formats and perturbations do to activations, and to probes that are transferred, layer by layer."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import matplotlib as mpl
import pandas as pd
from conceptdepth.figures.panels import (
    LEAST_WIDTH,
    columns_of,
    make_room_for_titles,
    name_depths,
    panel_inches,
    place_legend,
    share_scale,
    title_lines,
)
from conceptdepth.figures.style import CHANCE, STYLE, Labels, look_of, probed_in, rows_of, save_for_job, word
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


@dataclass(frozen=True)
class Panel:
    """What the panels of a column show, one above the other."""

    probed: tuple[str, ...]
    """Site, position and probe."""
    model: str
    dataset: str
    names: list[str]
    """Lines of the title."""

    def of(self, drift: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of ``activation_drift.csv`` that are shown."""
        return rows_of(drift[(drift["model"] == self.model) & (drift["dataset"] == self.dataset)], self.probed)


def plot_drift(drift: pd.DataFrame, labels: Labels) -> Figure:
    """Draw two rows of panels for each site, position, probe and model, a panel for each dataset, comparisons as lines.

    ``drift`` is ``activation_drift.csv``. What is not compared is held at its first value. More than four datasets
    have several such pairs of rows.
    """
    lines, parts = list(comparisons(drift)), parts_of(drift, labels)
    columns = max(len(panels) for _, panels in parts)
    with mpl.rc_context(STYLE | WHOLE_TICKS):
        figure, axes = plt.subplots(
            len(TITLES) * len(parts),
            columns,
            figsize=(max(LEAST_WIDTH, 0.9 + 2.6 * columns), 0.4 + 4.0 * len(parts) + 0.3 * len(parts[1:])),
            sharex=True,
            sharey="row",
            squeeze=False,
        )
        inches = panel_inches(figure, columns) - ROW_LABEL / columns
        for number, (_, panels) in enumerate(parts):
            rows = axes[len(TITLES) * number :][: len(TITLES)]
            for row, column in zip(rows, TITLES):
                row[0].set_ylabel(TITLES[column])
                for axis, panel in zip_longest(row, panels):
                    if panel is None:
                        axis.set_axis_off()
                        continue
                    axis.set_xlim(0, 1)
                    for place, (_, shown) in enumerate(lines):
                        draw_line(axis, panel.of(shown).sort_values("layer"), column, look_of(place))
            for axis, panel in zip(rows[0], panels):
                axis.set_title(title_lines(*panel.names, inches=inches))
            name_depths(rows[-1][: len(panels)])
        for block in range(parts[-1][0] + 1):
            of_block = [number for number, part in enumerate(parts) if part[0] == block]
            for place in range(len(TITLES)):
                share_scale([axes[len(TITLES) * number + place, 0] for number in of_block])
        make_room_for_titles(figure, len(parts))
        handles = [Line2D([], [], label=name, **look_of(number)) for number, (name, _) in enumerate(lines)]
        place_legend(figure, handles, columns=min(len(handles), 4))
    return figure


def parts_of(drift: pd.DataFrame, labels: Labels) -> list[tuple[int, list[Panel]]]:
    """Return the panels that stand side by side, with the number of their block, whose scale they share.

    A block has the panels of all datasets, or of all models if there is one dataset.
    """
    models, datasets = labels["models"], labels["datasets"]
    blocks: list[list[Panel]] = []
    for probed, told in probed_in(drift).items():
        panels = [
            Panel(probed, model, dataset, [entry["label"], of["label"] if len(models) > 1 else "", told])
            for model, of in models.items()
            for dataset, entry in datasets.items()
        ]
        size = len(panels) if len(datasets) == 1 else len(datasets)
        blocks += [panels[first : first + size] for first in range(0, len(panels), size)]
    columns = columns_of(len(blocks[0]))
    return [
        (number, block[first : first + columns])
        for number, block in enumerate(blocks)
        for first in range(0, len(block), columns)
    ]


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
