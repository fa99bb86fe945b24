"""Draw the depth and the accuracy of every curve with intervals, and the paper's points small beside them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import matplotlib as mpl
import pandas as pd
from conceptdepth.figures.panels import place_legend, title_lines
from conceptdepth.figures.rows import NOTHING, ROW, SMALL, draw_value, fading, has_no_depth, name_rows, say
from conceptdepth.figures.style import (
    COLOURS,
    INTERVAL,
    POINT,
    STYLE,
    Labels,
    converged_in_words,
    probed_in,
    rows_of,
    save_for_job,
    word,
)
from conceptdepth.ground.names import CONTROL_FORMATS
from conceptdepth.provenance.job import job
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

DEPTH, ACCURACY = "gain_centre", "held_out_peak_accuracy"
"""Columns that are drawn with their intervals, each in panels of its own."""

PAPER: Any = {"linestyle": "", "markersize": 3.2, "fillstyle": "none", "markeredgewidth": 0.8, "alpha": 0.75}
"""Look of the points that depend on single noisy layers."""

POINTS: dict[str, tuple[dict[str, Any], str]] = {
    "jump_point": (PAPER | {"marker": ">"}, "jump point (paper)"),
    "converging_point": (PAPER | {"marker": "s"}, "converging point (paper)"),
    "first_above_baseline": (
        {"linestyle": "", "marker": "|", "markersize": 9, "markeredgewidth": 1.8},
        "first layer above the best baseline",
    ),
}
"""Column without an interval -> its marker and its name in the legend; later ones lie above earlier ones."""

BASELINE: Any = {"linestyle": "", "marker": "x", "markersize": 4.5, "color": "#444444"}
"""Look of the accuracy of the best baseline."""

PANELS = (3.5, 1.9)
"""Inches across a panel of depths and one of accuracies."""

NAMES, HEAD, FOOT = 1.5, 0.34, 0.4
"""Inches of the names of rows, of a line of a title with what is about it, and of the axis below a panel."""


@dataclass(frozen=True)
class Places:
    """Which curve of a model stands on which line, counted from the top."""

    of: dict[tuple[str, str, str], float]
    """Dataset, weight format and perturbation -> line."""
    names: dict[float, str]
    """Line -> what is written beside it."""
    heads: dict[float, tuple[str, str]]
    """Line -> name of the dataset whose rows are below it, and its colour; none where each dataset has one row."""
    end: float
    """Line below all."""


def plot_depths(depths: pd.DataFrame, labels: Labels) -> Figure:
    """Draw ``concept_depth.csv``: a panel of depths and one of accuracies for each model, site, position and probe.

    In them is a row for each dataset, weight format and perturbation. Controls are left out.
    """
    depths = depths[~depths["quantization"].isin(CONTROL_FORMATS)]
    colours = dict(zip(variants_of(depths), COLOURS * (1 + len(depths) // len(COLOURS))))
    places, models = places_of(labels, variants_of(depths)), labels["models"]
    blocks = [
        (rows_of(depths[depths["model"] == model], probed), [entry["label"] if len(models) > 1 else "", name])
        for probed, name in probed_in(depths).items()
        for model, entry in models.items()
    ]
    across = min(len(blocks), 2)
    down = math.ceil(len(blocks) / across)
    titles = [title_lines(*names, inches=sum(PANELS)) for _, names in blocks]
    height = FOOT + HEAD * bool(titles[0]) + 0.14 * max(title.count("\n") for title in titles) + ROW * places.end
    with mpl.rc_context(STYLE):
        figure, grid = plt.subplots(
            down,
            across * len(PANELS),
            figsize=(NAMES + across * sum(PANELS), 0.4 + down * height),
            width_ratios=PANELS * across,
            sharey=True,
            squeeze=False,
        )
        pairs = [tuple(row[2 * n : 2 * n + 2]) for row in grid for n in range(across)]
        for (left, right), block, title in zip_longest(pairs, blocks, titles):
            if block is None:
                left.set_axis_off()
                right.set_axis_off()
                continue
            draw_rows(left, right, block[0], places.of, colours)
            left.set_title(title)
        for row in grid:
            name_rows(row, places.names, places.heads)
        limits = lowest_of(depths) - 0.03, 1.02
        for number, (left, right) in enumerate(pairs[: len(blocks)]):
            name_axes(left, right, limits, last=number + across >= len(blocks))
        grid[0, 0].set_ylim(places.end - 0.4, -0.6)
        name_points(figure, depths, labels)
    return figure


def variants_of(depths: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the weight formats with the perturbations of a run."""
    return list(dict.fromkeys(zip(depths["quantization"], depths["perturbation"])))


def places_of(labels: Labels, variants: list[tuple[str, str]]) -> Places:
    """Return the lines of all curves: those of a dataset together, under its name."""
    of: dict[tuple[str, str, str], float] = {}
    names: dict[float, str] = {}
    heads: dict[float, tuple[str, str]] = {}
    several = [len(set(values)) > 1 for values in zip(*variants)]
    line = 0.0
    for dataset, entry in labels["datasets"].items():
        if len(variants) == 1:
            of[dataset, *variants[0]], names[line] = line, f"{entry['label']}\n({entry['domain']})"
            line += 2
            continue
        heads[line] = f"{entry['label']} ({entry['domain']})", "black"
        for variant in variants:
            line += 1
            of[dataset, *variant] = line
            names[line] = ", ".join(word(value) for value, told in zip(variant, several) if told)
        line += 1.5
    return Places(of, names, heads, line)


def draw_rows(
    left: Axes,
    right: Axes,
    depths: pd.DataFrame,
    places: Mapping[tuple[str, str, str], float],
    colours: Mapping[tuple[str, str], str],
) -> None:
    """Draw the depths of a model at the left and its accuracies at the right; a depth only of curves that have one.

    A curve of tokens that an earlier position reads too is drawn there.
    """
    for row in depths.to_dict("records"):
        variant = row["quantization"], row["perturbation"]
        place, colour = places[row["dataset"], *variant], colours[variant]
        if row["same_tokens_as"] != row["position"]:
            say(left, f"same tokens as {word(row['same_tokens_as'])}", place, colour)
            continue
        draw_value(right, row, ACCURACY, place, colour)
        right.plot(row["baseline_accuracy"], place, **BASELINE)
        if fading(row) < 1:
            right.annotate(
                converged_in_words(row["converged"]), (1.02, place), xycoords=right.get_yaxis_transform(),
                va="center", fontsize=SMALL, color=colour,
            )  # fmt: skip
        if has_no_depth(row):
            say(left, NOTHING, place, colour)
            continue
        for column, (look, _) in POINTS.items():
            left.plot(row[column], place, color=colour, **look | {"alpha": look.get("alpha", 1) * fading(row)})
        draw_value(left, row, DEPTH, place, colour)


def lowest_of(depths: pd.DataFrame) -> float:
    """Return the least accuracy that is drawn."""
    return float(depths[[ACCURACY, f"{ACCURACY}_low", "baseline_accuracy"]].min().min())


def name_axes(left: Axes, right: Axes, limits: tuple[float, float], *, last: bool) -> None:
    """Give both panels of a block their limits, and names below if nothing is ``last``."""
    left.set_xlim(-0.02, 1.02)
    right.set_xlim(limits)
    right.tick_params(axis="y", length=0)
    for axis, name in ((left, "Relative depth (layer / number of layers)"), (right, "Held-out peak accuracy")):
        axis.xaxis.set_major_formatter("{x:g}")
        if last:
            axis.set_xlabel(name, fontsize=8)


def name_points(figure: Figure, depths: pd.DataFrame, labels: Labels) -> None:
    """Name markers below the panels, those that can be trusted first, and what is held fixed."""
    grey = {"color": "#444444"}
    handles = [Line2D([], [], label="centre of gain; held-out peak accuracy", **POINT, **grey)]
    if depths[[f"{DEPTH}_low", f"{ACCURACY}_low"]].notna().any(axis=None):
        handles.append(Line2D([], [], label="interval", **INTERVAL, **grey))
    *papers, trusted = (Line2D([], [], label=name, **look, **grey) for look, name in POINTS.values())
    handles.append(trusted)
    if depths["baseline_accuracy"].notna().any():
        handles.append(Line2D([], [], label="accuracy of the best baseline", **BASELINE))
    handles += papers
    fixed = [word(depths[key].iloc[0]) for key in FIXED if depths[key].nunique() == 1]
    if len(labels["models"]) == 1:
        fixed.insert(0, next(iter(labels["models"].values()))["label"])
    place_legend(figure, handles, columns=3, title=", ".join(fixed))


FIXED = ("quantization", "perturbation", "site", "position", "probe")
"""Columns that the legend names where they have one value."""


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_depths(pd.read_csv(snakemake.input.depths), snakemake.params.labels)
        save_for_job(figure, snakemake, record.id)
