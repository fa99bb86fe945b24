"""Curves of accuracy against depth, which three figures draw."""

import math

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from conceptdepth.figures.style import CHANCE, COLOURS, PUBLISHED, STYLE, Labels, columns_of, legend_below, word
from conceptdepth.ground.names import SCORED
from conceptdepth.ground.tables import at_first


def draw_curves(scores: pd.DataFrame, labels: Labels, *, compare: str, published: pd.DataFrame | None = None) -> Figure:
    """Draw accuracy against relative depth: a panel for each dataset, lines by ``compare``.

    ``scores`` is ``layer_scores.csv``. What is neither compared nor a panel is held at its first value.
    Lines are means over splits and the bands their range. Comparing models puts all into one panel of each
    dataset; anything else has a row of panels for each model. ``published`` holds curves to be drawn beside
    those of the same model and dataset (`conceptdepth.depth.published.published_curves`).
    """
    scores = held_at_first(scores, compare)
    datasets = list(labels["datasets"])
    models = list(scores["model"].unique())
    rows: list[list[str]] = [models] if compare == "model" else [[model] for model in models]
    panels = [(dataset, shown) for shown in rows for dataset in datasets]
    columns = columns_of(len(datasets)) if compare == "model" else len(datasets)
    n_rows = math.ceil(len(panels) / columns)
    with mpl.rc_context(STYLE):
        figure, grid = plt.subplots(
            n_rows,
            columns,
            figsize=(0.6 + 2.6 * columns, 0.9 + 2.2 * n_rows),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        axes = list(grid.flat)
        for number, (axis, (dataset, shown)) in enumerate(zip(axes, panels)):
            draw_panel(axis, scores[(scores["dataset"] == dataset) & scores["model"].isin(shown)], compare)
            if published is not None:
                draw_published(axis, published[published["dataset"] == dataset], models)
            title = labels["datasets"][dataset]["label"]
            if compare != "model" and len(models) > 1:
                title += f"\n{labels['models'][shown[0]]['label']}"
            axis.set_title(title)
            if number < len(datasets):
                domain = labels["datasets"][dataset]["domain"]
                axis.annotate(domain, (1, 1.02), xycoords="axes fraction", ha="right", color="#666666")
        for axis in grid[:, 0]:
            axis.set_ylabel("Test accuracy")
        for axis in axes[len(panels) - columns : len(panels)]:
            axis.set_xlabel("Relative depth (layer / number of layers)", fontsize=8)
            axis.tick_params(labelbottom=True)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        add_legend(figure, scores, labels, compare, has_published=published is not None and len(published) > 0)
    return figure


def held_at_first(scores: pd.DataFrame, compare: str) -> pd.DataFrame:
    """Keep the first value of every column that names a curve, but for models, datasets and what is compared."""
    return at_first(scores, [column for column in SCORED if column not in ("model", "dataset", compare)])


def draw_panel(axis: Axes, scores: pd.DataFrame, compare: str) -> None:
    """Draw the curves of one dataset, and the accuracy of always naming the larger class."""
    for number, value in enumerate(scores[compare].unique()):
        curves = scores[scores[compare] == value].groupby("layer")["accuracy"].agg(["mean", "min", "max"])
        depth = curves.index / scores[scores[compare] == value]["n_layers"].iloc[0]
        colour = COLOURS[number % len(COLOURS)]
        axis.fill_between(depth, curves["min"], curves["max"], color=colour, alpha=0.15, linewidth=0)
        axis.plot(depth, curves["mean"], color=colour)
    axis.axhline(scores["majority"].mean(), **CHANCE)
    axis.set_xlim(0, 1)


def draw_published(axis: Axes, curves: pd.DataFrame, models: list[str]) -> None:
    """Draw the published curves of one dataset, each in the colour of its model."""
    for model, curve in curves.groupby("model"):
        colour = COLOURS[models.index(str(model)) % len(COLOURS)]
        axis.plot(curve["layer"] / curve["n_layers"], curve["accuracy"], color=colour, **PUBLISHED)


def add_legend(figure: Figure, scores: pd.DataFrame, labels: Labels, compare: str, *, has_published: bool) -> None:
    """Name the lines below the panels, and what is held fixed."""
    models = {name: entry["label"] for name, entry in labels["models"].items()}
    names = [models.get(value, word(value)) for value in scores[compare].unique()]
    handles = [Line2D([], [], color=COLOURS[n % len(COLOURS)], label=name) for n, name in enumerate(names)]
    if has_published:
        handles.append(Line2D([], [], color="#444444", label="dotted: published for the same model", **PUBLISHED))
    handles.append(Line2D([], [], label="chance (majority class)", **CHANCE))
    fixed = [word(scores[key].iloc[0]) for key in ("quantization", "perturbation", "site") if key != compare]
    if compare != "model" and scores["model"].nunique() == 1:
        fixed.insert(0, models[scores["model"].iloc[0]])
    splits = scores["seed"].nunique()
    band = f"; mean and range of {splits} splits" if splits > 1 else ""
    legend_below(figure, handles, columns=min(len(handles), 5), title=", ".join(fixed) + band)
