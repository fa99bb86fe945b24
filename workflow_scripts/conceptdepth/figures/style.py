"""One look for all figures, and how they are written."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

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

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#000000")
"""The palette of Okabe and Ito, grey for its yellow: readers with any colour vision can tell eight apart, not more."""

LINES: Any = ("-", (0, (4, 1.5)), (0, (7, 1.5, 1.5, 1.5)), (0, (7, 1.5, 1.5, 1.5, 1.5, 1.5)))
"""Lines of the first eight curves, of the next eight, and so on; dots alone are for what others published."""

MARKERS = ("", "x", "+", "1")
"""Markers of dotted curves in the place of those lines."""

CHANCE: Any = {"color": "#666666", "linestyle": (0, (4, 3)), "linewidth": 1}
"""Look of the line at the accuracy of always naming the larger class."""

PUBLISHED: Any = {"linestyle": (0, (1, 1.2)), "linewidth": 1.5}
"""Look of published curves; their colour is that of the computed ones."""

PARTIAL: Any = {"linestyle": (0, (2.5, 1)), "linewidth": 1}
"""Look of curves without confounds; their colour is that of the curves of the concept as it is."""

POINT: Any = {"marker": "o", "markersize": 4.5, "linestyle": ""}
"""Look of a value with an interval."""

INTERVAL: Any = {"linewidth": 2.5, "alpha": 0.4}
"""Look of its interval."""

UNSOLVED: Any = {"marker": "o", "linestyle": "", "markersize": 4, "markerfacecolor": "white", "markeredgewidth": 1.2}
"""Look of a layer whose probes mostly did not converge."""

UNSOLVED_ALPHA = 0.3
"""How faded the points of a curve are of which most probes did not converge."""


Labels = Mapping[str, Mapping[str, Mapping[str, str]]]
"""What `conceptdepth.configuration.settings.figure_labels` returns."""


def look_of(number: int) -> dict[str, Any]:
    """Return colour and line of a curve by its number in the legend, from 0; no two of the first 32 are alike."""
    rounds, place = divmod(number, len(COLOURS))
    return {"color": COLOURS[place], "linestyle": LINES[rounds % len(LINES)]}


def published_look(number: int) -> dict[str, Any]:
    """Return the look of a published curve beside a computed one of `look_of`: its colour, and dots for its line."""
    marker = MARKERS[number // len(COLOURS) % len(MARKERS)]
    return PUBLISHED | {"color": look_of(number)["color"], "marker": marker, "markersize": 4}


def probed_in(table: "pd.DataFrame") -> dict[tuple[str, ...], str]:
    """Return each site, position and probe that is drawn of a table, in its order, with what tells it from the others.

    Positions that read the same tokens in all cells of the table are drawn once, at the first, and named together. A
    table without the column ``same_tokens_as`` shows it by rows that are alike in every number. The embedding has no
    layers to draw.
    """
    alike: dict[Any, list[tuple[str, ...]]] = {}
    for names, rows in table[table["site"] != EMBEDDING].groupby(list(PROBED), sort=False):
        site, position, probe = map(str, names)
        numbers = rows[["same_tokens_as"]] if "same_tokens_as" in rows else rows.drop(columns=["position"])
        key = site, probe, numbers.to_csv(index=False)
        alike.setdefault(key, []).append((site, position, probe))
    every = [names for same in alike.values() for names in same]
    together = {
        same[0]: (site, " = ".join(word(position) for _, position, _ in same), probe)
        for (site, probe, _), same in alike.items()
    }
    return {first: told_apart(names, every) for first, names in together.items()}


def told_apart(probed: tuple[str, ...], among: Sequence[tuple[str, ...]]) -> str:
    """Return a reader's words for what tells a site, position and probe from others, none if it is the only one."""
    return ", ".join(word(name) for name, names in zip(probed, zip(*among)) if len(set(names)) > 1)


def rows_of(table: "pd.DataFrame", probed: tuple[str, ...]) -> "pd.DataFrame":
    """Return the rows of a site, position and probe."""
    return table[(table[list(PROBED)] == list(probed)).all(axis=1)]


def same_in_all(labels: Labels, held: Mapping[str, str]) -> str:
    """Return what all panels of a figure have alike, for its legend: the model if it is one, and values in words."""
    models = [entry["label"] for entry in labels["models"].values()]
    return ", ".join([*(models if len(models) == 1 else []), *map(word, held.values())])


def converged_in_words(share: float) -> str:
    """Say what share of some probes converged, in whole percent; 100 are all."""
    return f"{math.floor(100 * share)} % of probes converged"


MOST_PIXELS = 2**16 - 1
"""Pixels along a side of a PNG file, at most."""


def save_for_job(figure: Figure, snakemake: Any, record: str) -> None:
    """Write the figure of a job, which has the outputs ``svg`` and ``png`` and the params ``figures``."""
    save_figure(figure, svg=snakemake.output.svg, png=snakemake.output.png, record=record, **snakemake.params.figures)


def save_figure(figure: Figure, *, svg: str, png: str, record: str, dots_per_inch: int) -> None:
    """Write a figure as SVG and PNG, each complete or not at all, with the id of its record in its metadata.

    One that would have more pixels than Matplotlib draws has fewer dots to the inch.
    """
    dots_per_inch = min(dots_per_inch, math.floor(MOST_PIXELS / max(figure.get_size_inches())))
    with mpl.rc_context(STYLE):
        with complete_file(svg) as part:
            figure.savefig(part, format="svg", metadata={"Date": None, "Identifier": PREFIX + record})
        with complete_file(png) as part:
            figure.savefig(part, format="png", dpi=dots_per_inch, metadata={"Identifier": PREFIX + record})
    plt.close(figure)
