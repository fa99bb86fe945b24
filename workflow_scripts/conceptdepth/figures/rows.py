"""Values in rows with a name each, which two figures draw."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from conceptdepth.figures.style import INTERVAL, POINT, UNSOLVED_ALPHA

NOTHING = "not above its baselines: no depth"
"""What stands in the place of the points of a curve without a depth."""

ROW = 0.17
"""Inches of a line of a row."""

SMALL = 6.5
"""Points of what is written in a row."""


def has_no_depth(row: Mapping[str, Any]) -> bool:
    """Tell whether a row of ``concept_depth.csv`` was tested and is not above its baselines; NaN was not tested."""
    return row["above_baselines"] == False  # noqa: E712


def fading(row: Mapping[str, Any]) -> float:
    """Return the alpha of the points of a row: faded if most of its probes did not converge; NaN is not known."""
    return UNSOLVED_ALPHA if row["mostly_converged"] == False else 1.0  # noqa: E712


def draw_value(axis: Axes, row: Mapping[str, Any], column: str, place: float, colour: str) -> None:
    """Draw a value of a row of ``concept_depth.csv`` with the interval that its columns ``_low`` and ``_high`` give."""
    alpha = fading(row)
    look = INTERVAL | {"alpha": INTERVAL["alpha"] * alpha}
    axis.hlines(place, row[f"{column}_low"], row[f"{column}_high"], color=colour, **look)
    axis.plot(row[column], place, color=colour, alpha=alpha, **POINT)


def say(axis: Axes, text: str, place: float, colour: str) -> None:
    """Write in the middle of a row why it has no points."""
    axis.text(0.5, place, text, ha="center", va="center", fontsize=SMALL, color=colour)


def name_rows(axes: Sequence[Axes], names: Mapping[float, str], heads: Mapping[float, tuple[str, str]]) -> None:
    """Write the names of rows beside their places in axes that share them, left of the first.

    Heads, each a text and a colour, stand in bold above their rows, where no line is drawn.
    """
    texts = [*names.values(), *(text for text, _ in heads.values())]
    axes[0].set_yticks([*names, *heads], texts, fontsize=7)
    for number, axis in enumerate(axes):
        for tick, (_, colour) in zip(axis.yaxis.get_major_ticks()[len(names) :], heads.values()):
            # Of no size, but visible: Matplotlib measures the room of all ticks by one of them, whichever hashes first.
            tick.tick1line.set_markersize(0)
            tick.gridline.set_visible(False)
            if number == 0:
                tick.label1.set(weight="bold", color=colour)
