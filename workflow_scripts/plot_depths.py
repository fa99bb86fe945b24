"""Draw the depths of every dataset: those that can be trusted, and the paper's points beside them."""

from typing import Any

import matplotlib as mpl
import pandas as pd
from conceptdepth.figures.style import (
    COLOURS,
    NOTHING,
    STYLE,
    UNSOLVED_ALPHA,
    Labels,
    converged_in_words,
    legend_below,
    probed_in,
    rows_of,
    save_for_job,
    title_lines,
    told_apart,
    word,
)
from conceptdepth.ground.names import CONTROL_FORMATS
from conceptdepth.provenance.job import job
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

POINTS: dict[str, tuple[dict[str, Any], str]] = {
    "gain_centre": ({"marker": "o", "markersize": 6}, "centre of gain"),
    "first_above_baseline": (
        {"marker": "|", "markersize": 10, "markeredgewidth": 2},
        "first layer above the baselines",
    ),
    "jump_point": ({"marker": ">", "markersize": 5, "fillstyle": "none"}, "paper: jump point"),
    "converging_point": ({"marker": "s", "markersize": 5, "fillstyle": "none"}, "paper: converging point"),
}
"""Column -> its marker and its name in the legend."""

AXIS = ("Relative depth (layer / number of layers;", "the first layer is 0)")
"""How all points of the figure are counted; one line, or two where models stand side by side."""

PANEL = 3.6
"""Inches across a panel, at least."""

INTERVAL_OF = "gain_centre"
"""Column whose interval is drawn."""

INTERVAL: Any = {"linewidth": 3, "alpha": 0.35}
"""Look of intervals."""


def plot_depths(depths: pd.DataFrame, labels: Labels) -> Figure:
    """Draw a panel for each model, and in it a row for each dataset with a line for each variant.

    Each site, position and probe has a row of panels.
    """
    depths = depths[~depths["quantization"].isin(CONTROL_FORMATS)]
    variants = list(dict.fromkeys(zip(depths["quantization"], depths["perturbation"])))
    models, every = list(labels["models"]), probed_in(depths)
    height = 0.6 + 0.16 * (len(every) > 1) + 0.22 * len(labels["datasets"]) * (len(variants) + 1)
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(every),
            len(models),
            figsize=(2.4 + PANEL * len(models), 0.2 + len(every) * height),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for row, probed in zip(axes, every):
            for axis, model in zip(row, models):
                draw_model(axis, rows_of(depths[depths["model"] == model], probed), labels, variants)
                names = labels["models"][model]["label"], told_apart(probed, every)
                axis.set_title(title_lines(*names, inches=PANEL))
        for axis in axes[-1]:
            axis.set_xlabel((" " if len(models) == 1 else "\n").join(AXIS))
        handles = [
            Line2D([], [], color=COLOURS[n % len(COLOURS)], label=f"{word(quantization)}, {word(perturbation)}")
            for n, (quantization, perturbation) in enumerate(variants)
        ]
        handles += [Line2D([], [], color="#444444", linestyle="", **look, label=name) for look, name in POINTS.values()]
        if depths[f"{INTERVAL_OF}_low"].notna().any():
            handles.append(Line2D([], [], color="#444444", **INTERVAL, label="interval of the centre of gain"))
        legend_below(figure, handles, columns=2)
    return figure


def draw_model(axis: Axes, depths: pd.DataFrame, labels: Labels, variants: list[tuple[str, str]]) -> None:
    """Draw the points of one model."""
    step = 1 / (len(variants) + 1)
    datasets = list(labels["datasets"])
    for number, variant in enumerate(variants):
        of_variant = depths[(depths["quantization"] == variant[0]) & (depths["perturbation"] == variant[1])]
        of_variant = of_variant.set_index("dataset").loc[datasets]
        places = pd.Series(
            [row + (number - (len(variants) - 1) / 2) * step for row in range(len(datasets))], index=datasets
        )
        colour = COLOURS[number % len(COLOURS)]
        axis.hlines(places, 0, 1, color=colour, linewidth=0.5, alpha=0.4)
        nothing = of_variant["above_baselines"].eq(False)  # NaN, where that was not tested, is not.
        for place in places[nothing]:
            axis.text(0.5, place, NOTHING, ha="center", va="center", fontsize=6, color=colour, backgroundcolor="white")
        unsolved = of_variant["mostly_converged"].eq(False)
        for rows, alpha in ((~nothing & ~unsolved, 0.9), (~nothing & unsolved, UNSOLVED_ALPHA)):
            shown = of_variant[rows]
            for column, (look, _) in POINTS.items():
                axis.plot(shown[column], places[rows], color=colour, linestyle="", alpha=alpha, **look)
        for place, converged in zip(places[~nothing & unsolved], of_variant.loc[~nothing & unsolved, "converged"]):
            between = place - step / 2  # Lines, where no marker is.
            axis.text(1.02, between, converged_in_words(converged), ha="right", va="center", fontsize=6, color=colour)
        shown = of_variant[~nothing]
        lows, highs = shown[f"{INTERVAL_OF}_low"], shown[f"{INTERVAL_OF}_high"]
        axis.hlines(places[~nothing], lows, highs, color=colour, **INTERVAL)
    names = [f"{entry['label']}\n({entry['domain']})" for entry in labels["datasets"].values()]
    axis.set_yticks(range(len(datasets)), names)
    axis.set_ylim(len(datasets) - 0.5, -0.5)
    axis.set_xlim(-0.03, 1.03)
    axis.grid(axis="y", visible=False)


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_depths(pd.read_csv(snakemake.input.depths), snakemake.params.labels)
        save_for_job(figure, snakemake, record.id)
