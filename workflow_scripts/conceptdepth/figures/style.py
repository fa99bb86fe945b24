"""One look for all figures, and how they are written."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from conceptdepth.figures.words import word as word
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import EMBEDDING, PROBED
from conceptdepth.provenance.record import PREFIX

if TYPE_CHECKING:
    import pandas as pd

# A dictionary and not a matplotlibrc file: as code it is part of the digest that reruns stale figures.
STYLE: Any = {
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "conceptdepth",
    "text.parse_math": False,
}
"""Settings of matplotlib for every figure; text stays text in SVG, and equal data give equal bytes."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#000000", "#9467BD")
"""The palette of Okabe and Ito, which readers with any colour vision can tell apart, and two more."""

CHANCE: Any = {"color": "#666666", "linestyle": (0, (4, 3)), "linewidth": 1}
"""Look of the line at the accuracy of always naming the larger class."""

PUBLISHED: Any = {"linestyle": (0, (1, 1.2)), "linewidth": 1.5}
"""Look of published curves; their colour is that of the computed ones."""

UNSOLVED: Any = {"marker": "o", "linestyle": "", "markersize": 4, "markerfacecolor": "white", "markeredgewidth": 1.2}
"""Look of a layer whose probes mostly did not converge."""

UNSOLVED_ALPHA = 0.3
"""How faded the points of a curve are of which most probes did not converge."""

NOTHING = "not above its baselines: no depth"
"""What stands in the place of the points of a curve without a depth."""

LEAST_WIDTH = 4.4
"""Inches across which the label of an axis of depth has room."""

Labels = Mapping[str, Mapping[str, Mapping[str, str]]]
"""What `conceptdepth.configuration.settings.figure_labels` returns."""


def columns_of(panels: int) -> int:
    """Return how many panels stand side by side: all, or about as many as there are rows if they are many."""
    return panels if panels <= 4 else math.ceil(math.sqrt(panels))


def probed_in(table: "pd.DataFrame") -> list[tuple[str, ...]]:
    """Return each site, position and probe of a table, in its order; the embedding has no layers to draw."""
    names = table.loc[table["site"] != EMBEDDING, list(PROBED)].drop_duplicates()
    return list(names.itertuples(index=False, name=None))


def rows_of(table: "pd.DataFrame", probed: tuple[str, ...]) -> "pd.DataFrame":
    """Return the rows of a site, position and probe."""
    return table[(table[list(PROBED)] == list(probed)).all(axis=1)]


def told_apart(probed: tuple[str, ...], among: Sequence[tuple[str, ...]]) -> str:
    """Return a reader's words for what tells a site, position and probe from others, none if it is the only one."""
    return ", ".join(word(name) for name, names in zip(probed, zip(*among)) if len(set(names)) > 1)


def title_lines(*texts: str, inches: float) -> str:
    """Put each text that is not empty on a line of its own, on several if it is wider than ``inches``."""
    width = max(1, math.floor(BOLD_PER_INCH * inches))
    return "\n".join(textwrap.fill(text, width) for text in texts if text)


def panel_inches(figure: Figure, columns: int) -> float:
    """Return the width of a panel of a figure of that many columns, without what is between panels."""
    return figure.get_figwidth() / columns - GAP


def converged_in_words(share: float) -> str:
    """Say what share of some probes converged, in whole percent; 100 are all."""
    return f"{math.floor(100 * share)} % of probes converged"


def legend_below(figure: Figure, handles: Sequence[Line2D], *, columns: int, title: str | None = None) -> None:
    """Name lines and markers below the panels, in rows of at most ``columns``; the figure gets taller by as much."""
    title = title and textwrap.fill(title, round(CHARACTERS_PER_INCH * figure.get_figwidth()))
    for fewer in range(columns, 0, -1):
        legend = figure.legend(
            handles=handles, loc="outside lower center", ncols=fewer, title=title, title_fontsize=TITLE_SIZE
        )
        legend.get_title().set_multialignment("center")
        box = legend.get_window_extent()
        if fewer == 1 or box.width <= figure.bbox.width:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)


GAP = 0.4
"""Inches between panels, for their ticks."""

BOLD_PER_INCH = 12
"""Characters of the title of a panel, which is bold, at most."""

TITLE_SIZE = 8.5
"""Points of the title of a legend."""

CHARACTERS_PER_INCH = 15
"""Of such a title, at most."""


def save_for_job(figure: Figure, snakemake: Any, record: str) -> None:
    """Write the figure of a job, which has the outputs ``svg`` and ``png`` and the params ``figures``."""
    save_figure(figure, svg=snakemake.output.svg, png=snakemake.output.png, record=record, **snakemake.params.figures)


def save_figure(figure: Figure, *, svg: str, png: str, record: str, dots_per_inch: int) -> None:
    """Write a figure as SVG and PNG, each complete or not at all, with the id of its record in its metadata."""
    with mpl.rc_context(STYLE):
        with complete_file(svg) as part:
            figure.savefig(part, format="svg", metadata={"Date": None, "Identifier": PREFIX + record})
        with complete_file(png) as part:
            figure.savefig(part, format="png", dpi=dots_per_inch, metadata={"Identifier": PREFIX + record})
    plt.close(figure)
