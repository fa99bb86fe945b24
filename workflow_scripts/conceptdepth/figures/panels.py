"""Panels of a figure: how many stand side by side, their titles and scales, and the legend of all."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

DEPTH = "Relative depth (layer / number of layers)"
"""What the axis of depth shows."""

LEAST_WIDTH = 4.4
"""Inches across which the label of an axis of depth has room."""

GAP = 0.4
"""Inches between panels, for their ticks."""

BOLD_PER_INCH = 12
"""Characters of the title of a panel, which is bold, at most."""

TITLE_LINE = 0.15
"""Inches of a line of such a title."""

TITLE_SIZE = 8.5
"""Points of the title of a legend."""

CHARACTERS_PER_INCH = 15
"""Of such a title, at most."""

SCREEN = 11
"""Inches of a figure that are seen at once, at most."""


def panel_grid(rows: int, columns: int, inches: float) -> tuple[Figure, Any]:
    """Return a figure and its axes, an array (rows, columns), rows of so many inches; those inside have no labels."""
    size = (max(LEAST_WIDTH, 0.6 + 2.6 * columns), 0.35 + inches * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in grid.flat:
        axis.label_outer(remove_inner_ticks=False)
    return figure, grid


def columns_of(panels: int) -> int:
    """Return how many panels stand side by side: all, or about as many as there are rows if they are many."""
    return panels if panels <= 4 else math.ceil(math.sqrt(panels))


def panel_inches(figure: Figure, columns: int) -> float:
    """Return the width of a panel of a figure of that many columns, without what is between panels."""
    return figure.get_figwidth() / columns - GAP


def title_lines(*texts: str, inches: float) -> str:
    """Put each text that is not empty on a line of its own, on several if it is wider than ``inches``."""
    width = max(1, math.floor(BOLD_PER_INCH * inches))
    return "\n".join(textwrap.fill(text, width) for text in texts if text)


def make_room_for_titles(figure: Figure, rows: int) -> None:
    """Make a figure of some rows of panels taller by the lines of its titles beyond their first."""
    lines = max(axis.get_title(loc="left").count("\n") for axis in figure.axes)
    figure.set_figheight(figure.get_figheight() + TITLE_LINE * lines * rows)


def name_depths(axes: Sequence[Axes]) -> None:
    """Name the axes of depth of the lowest panel of each column of a block."""
    for axis in axes:
        axis.set_xlabel(DEPTH, fontsize=8)
        axis.tick_params(labelbottom=True)
        axis.xaxis.set_major_formatter("{x:g}")


def share_scale(axes: Sequence[Axes]) -> None:
    """Give panels the limits that hold what is in all.

    Done once, it is many times faster for many panels than axes that share their limits from the beginning.
    """
    limits = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def place_legend(figure: Figure, handles: Sequence[Line2D], *, columns: int, title: str | None = None) -> None:
    """Name lines and markers below the panels, in rows of at most ``columns``; the figure gets taller by as much.

    In a figure that is taller than a screen the names stand above, where reading begins.
    """
    title = title and textwrap.fill(title, round(CHARACTERS_PER_INCH * figure.get_figwidth()))
    where: Literal["outside upper center", "outside lower center"]
    where = "outside upper center" if figure.get_figheight() > SCREEN else "outside lower center"
    for fewer in range(columns, 0, -1):
        legend = figure.legend(handles=handles, loc=where, ncols=fewer, title=title, title_fontsize=TITLE_SIZE)
        legend.get_title().set_multialignment("center")
        box = legend.get_window_extent()
        if fewer == 1 or box.width <= figure.bbox.width:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)
