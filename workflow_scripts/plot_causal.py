"""Draw what probes find over depth, what each layer would answer, and what changes along the concept do to answers."""

import matplotlib as mpl
import pandas as pd
from conceptdepth.depth.interventions import AGAINST, ALONG, ERASE, LEACE
from conceptdepth.figures.curves import draw_splits, held_at_first
from conceptdepth.figures.panels import (
    make_room_for_titles,
    name_depths,
    panel_grid,
    panel_inches,
    place_legend,
    share_scale,
    title_lines,
)
from conceptdepth.figures.style import CHANCE, COLOURS, STYLE, Labels, rows_of, same_in_all, save_for_job
from conceptdepth.ground.names import PROBED
from conceptdepth.provenance.job import job
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

AREA = "Area under\nthe ROC curve"
"""What the first row of panels shows."""

EFFECTS = {
    ERASE: "Direction erased:\nlog-odds lost",
    LEACE: "Erased by LEACE:\nlog-odds lost",
    AGAINST: "Step against class:\nlog-odds lost",
    ALONG: "Step towards class:\nlog-odds won",
}
"""Method -> what its row shows: of the right answer."""

PROBE, LENS, EFFECT = ({"color": COLOURS[number]} for number in (0, 1, 2))
CONTROLS = {"color": COLOURS[6], "alpha": 0.3, "linewidth": 0}
FOUND = {"color": COLOURS[2], "marker": "o", "markersize": 5, "linestyle": ""}
"""Looks of what probes find, of what layers would answer, of effects, random directions, and effects beyond them."""


def plot_causal(causal: pd.DataFrame, scores: pd.DataFrame, lens: pd.DataFrame, labels: Labels) -> Figure:
    """Draw ``causal.csv``, ``layer_scores.csv`` and ``lens.csv``: a column for each dataset.

    Each model has a row of areas, of its probe and of the lens, and one of effects for each method. Weight format and
    texts are held at their first value.
    """
    probed = tuple(causal[list(PROBED)].iloc[0])
    scores = rows_of(held_at_first(scores, "model"), probed)
    held = {key: scores[key].iloc[0] for key in ("quantization", "perturbation")}
    for key, value in held.items():
        lens, causal = (table[table[key] == value] for table in (lens, causal))
    models, datasets, methods = list(labels["models"]), labels["datasets"], list(causal["method"].unique())
    rows = [(model, method) for model in models for method in (None, *methods)]
    with mpl.rc_context(STYLE):
        figure, grid = panel_grid(len(rows), len(datasets), 1.5)
        for axes, (model, method) in zip(grid, rows):
            for axis, (dataset, entry) in zip(axes, datasets.items()):
                own, said, changed = (
                    table[(table["model"] == model) & (table["dataset"] == dataset)] for table in (scores, lens, causal)
                )
                if method is None:
                    draw_areas(axis, own, said)
                    names = [entry["label"], labels["models"][model]["label"] if len(models) > 1 else ""]
                    axis.set_title(title_lines(*names, inches=panel_inches(figure, len(datasets))))
                else:
                    draw_effects(axis, changed[changed["method"] == method])
            axes[0].set_ylabel(AREA if method is None else EFFECTS[method], fontsize=8)
            share_scale(axes)
        name_depths(list(grid[-1]))
        make_room_for_titles(figure, len(models))
        handles = [
            Line2D([], [], label="probe", **PROBE),
            Line2D([], [], label="lens: the answer if this layer were the last", **LENS),
            Line2D([], [], label="effect of a change along the concept", **EFFECT),
            Line2D([], [], label="more than random directions at any layer", **FOUND),
            Line2D([], [], label="random directions", **CONTROLS | {"linewidth": 6}),
            Line2D([], [], label="chance, no effect", **CHANCE),
        ]
        place_legend(figure, handles, columns=3, title=same_in_all(labels, held | dict(zip(PROBED, probed))))
    return figure


def draw_areas(axis: Axes, scores: pd.DataFrame, lens: pd.DataFrame) -> None:
    """Draw the areas of the probe, mean over splits and range, and of the lens."""
    draw_splits(axis, scores, "auc", PROBE)
    axis.plot(lens["layer"] / lens["n_layers"], lens["auc"], **LENS)
    axis.axhline(0.5, **CHANCE)
    axis.set_xlim(0, 1)


def draw_effects(axis: Axes, causal: pd.DataFrame) -> None:
    """Draw the effects of one method by layer with their interval, and those of random directions."""
    depth = causal["layer"] / causal["n_layers"]
    axis.fill_between(depth, causal["effect_random_low"], causal["effect_random_high"], **CONTROLS)
    axis.fill_between(depth, causal["effect_low"], causal["effect_high"], alpha=0.15, linewidth=0, **EFFECT)
    axis.plot(depth, causal["effect"], **EFFECT)
    found = causal["has_effect"]
    axis.plot(depth[found], causal["effect"][found], **FOUND)
    axis.axhline(0, **CHANCE)
    axis.set_xlim(0, 1)


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_causal(
            *(pd.read_csv(snakemake.input[table]) for table in ("causal", "scores", "lens")),
            snakemake.params.labels,
        )
        save_for_job(figure, snakemake, record.id)
