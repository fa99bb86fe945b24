"""What both figures of the published numbers have in common."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from conceptdepth.figures.panels import place_legend
from conceptdepth.figures.style import CHANCE


def add_published_legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Name what ``handles`` show and chance, in one row below the panels, and say whose numbers they are."""
    handles = [*handles, Line2D([], [], label="chance (majority class)", **CHANCE)]
    title = "Published by Jin et al. (arXiv 2404.07066), not computed here"
    place_legend(figure, handles, columns=len(handles), title=title)
