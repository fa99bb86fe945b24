"""Curves of accuracy against depth, which three figures draw."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from conceptdepth.depth.published import POSITION, PROBE, SITE
from conceptdepth.figures.panels import (
    BOLD_PER_INCH,
    columns_of,
    make_room_for_titles,
    name_depths,
    panel_grid,
    panel_inches,
    place_legend,
    share_scale,
    title_lines,
)
from conceptdepth.figures.style import (
    CHANCE,
    PARTIAL,
    PUBLISHED,
    STYLE,
    UNSOLVED,
    Labels,
    converged_in_words,
    look_of,
    probed_in,
    published_look,
    rows_of,
    word,
)
from conceptdepth.ground.names import EMBEDDING, PARTIAL_OUT, PROBED, SCORED
from conceptdepth.ground.tables import at_first


@dataclass(frozen=True)
class Panel:
    """What a panel shows."""

    probed: tuple[str, ...]
    """Site, position and probe."""
    models: list[str]
    """All that are compared, or the one whose variants are."""
    dataset: str
    names: list[str]
    """Lines of the title."""
    domain: str
    """Written beside the title, if it is not empty."""

    def of(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that the panel shows."""
        of_block = rows_of(scores[scores["model"].isin(self.models)], self.probed)
        return of_block[of_block["dataset"] == self.dataset]


def draw_curves(scores: pd.DataFrame, labels: Labels, *, compare: str, published: pd.DataFrame | None = None) -> Figure:
    """Draw accuracy against relative depth: a panel for each dataset, lines by ``compare``.

    ``scores`` is ``layer_scores.csv``. What is neither compared nor has panels of its own is held at its first value.
    Lines are means over splits and the bands their range. Comparing models puts all into one panel of each
    dataset; anything else has such panels for each model. Each site, position and probe has such a block of panels,
    in several rows if they are more than four.
    ``published`` holds curves to be drawn beside those of the same model and dataset
    (`conceptdepth.depth.published.published_curves`). Curves without confounds, if there are any, are thin and dashed.
    """
    partial = scores[scores["target"] == PARTIAL_OUT]
    partial, scores = (held_at_first(one, compare) if len(one) else one for one in (partial, scores))
    values, blocks = list(scores[compare].unique()), blocks_of(scores, labels, compare)
    columns = columns_of(len(blocks[0]))
    height = math.ceil(len(blocks[0]) / columns)
    with mpl.rc_context(STYLE):
        figure, grid = panel_grid(height * len(blocks), columns, 2.2)
        for number, block in enumerate(blocks):
            axes = list(grid[number * height : (number + 1) * height].flat)
            for axis, panel in zip_longest(axes, block):
                if panel is None:
                    axis.set_axis_off()
                    continue
                draw_panel(axis, panel.of(scores), compare, values)
                draw_partial(axis, panel.of(partial), compare, values)
                if published is not None and panel.probed == (SITE, POSITION, PROBE):
                    draw_published(axis, published[published["dataset"] == panel.dataset], panel.models)
                add_title(axis, panel.names, panel.domain, panel_inches(figure, columns))
            name_depths(axes[len(block) - columns : len(block)])
        for axis in grid[:, 0]:
            axis.set_ylabel("Test accuracy")
        make_room_for_titles(figure, len(grid))
        share_scale([axis for axis in grid.flat if axis.axison])
        more = {"dotted: published for the same model": PUBLISHED} if published is not None and len(published) else {}
        more |= {"thin: without confounds": PARTIAL} if len(partial) else {}
        name_curves(figure, scores, labels, compare, more)
    return figure


def blocks_of(scores: pd.DataFrame, labels: Labels, compare: str) -> list[list[Panel]]:
    """Return the panels that stand together: those of all datasets, or of all models if there is one dataset."""
    models, datasets = list(scores["model"].unique()), labels["datasets"]
    together: list[list[str]] = [models] if compare == "model" else [[model] for model in models]
    blocks: list[list[Panel]] = []
    for probed, told in probed_in(scores).items():
        for shown in together:
            of = [labels["models"][shown[0]]["label"]] if len(together) > 1 else []
            block = [
                Panel(probed, shown, name, [entry["label"], *of, told], "" if blocks else entry["domain"])
                for name, entry in datasets.items()
            ]
            if len(datasets) == 1 and shown is not together[0]:
                blocks[-1] += block
            else:
                blocks.append(block)
    return blocks


def held_at_first(scores: pd.DataFrame, compare: str) -> pd.DataFrame:
    """Keep the first value of every column that names a curve, but for models, datasets, what is probed, and what is
    compared; without the embedding, which has no layers.
    """
    drawn = ("model", "dataset", *PROBED, compare)
    return at_first(scores[scores["site"] != EMBEDDING], [column for column in SCORED if column not in drawn])


def draw_panel(axis: Axes, scores: pd.DataFrame, compare: str, values: Sequence[str]) -> None:
    """Draw the curves of one dataset, and the accuracy of always naming the larger class.

    The place of a curve's value of ``compare`` among ``values`` gives its look. If not all probes converged, layers
    of which most did not are hollow, and the share that did stands in the panel.
    """
    for number, value in enumerate(values):
        shown, look = scores[scores[compare] == value], look_of(number)
        mean = draw_splits(axis, shown, "accuracy", look)
        unsolved = mean[mostly_unsolved(shown.groupby("layer")).to_numpy()]
        axis.plot(unsolved.index, unsolved, color=look["color"], **UNSOLVED)
    axis.axhline(scores["majority"].mean(), **CHANCE)
    axis.set_xlim(0, 1)
    converged = scores["converged"].mean()
    if converged < 1:
        axis.annotate(
            converged_in_words(converged), (0.98, 0.03), xycoords="axes fraction", ha="right",
            fontsize=7, color="#444444", bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1},
        )  # fmt: skip


def draw_splits(axis: Axes, scores: pd.DataFrame, score: str, look: Mapping[str, Any]) -> "pd.Series[float]":
    """Draw the mean of a score over splits at each layer, and their range; return the mean by relative depth."""
    layers = scores.groupby("layer")
    curve = layers[score].agg(["mean", "min", "max"])
    curve.index = curve.index / layers["n_layers"].first()
    axis.fill_between(curve.index, curve["min"], curve["max"], color=look["color"], alpha=0.15, linewidth=0)
    axis.plot(curve.index, curve["mean"], **look)
    return curve["mean"]


def add_title(axis: Axes, names: list[str], domain: str, inches: float) -> None:
    """Write each name on a line of its own above the panel, and the domain at the right of the first."""
    first, *others = names
    room = (len(domain) + 1) / BOLD_PER_INCH if domain else 0
    title = axis.set_title(title_lines(title_lines(first, inches=inches - room), *others, inches=inches))
    if domain:
        beside: Any = ("axes fraction", title)
        axis.annotate(domain, (1, 1), xycoords=beside, ha="right", va="top", color="#666666")


def mostly_unsolved(layers: Any) -> pd.Series:
    """Tell of each group of probes whether more than half of them did not converge."""
    return layers["converged"].mean() < 0.5


def draw_partial(axis: Axes, scores: pd.DataFrame, compare: str, values: Sequence[str]) -> None:
    """Draw the means over splits of the curves of one dataset without confounds, each in the colour of its curve."""
    for number, value in enumerate(values if len(scores) else ()):
        layers = scores[scores[compare] == value].groupby("layer")
        depths = layers["layer"].first() / layers["n_layers"].first()
        axis.plot(depths, layers["accuracy"].mean(), color=look_of(number)["color"], **PARTIAL)


def draw_published(axis: Axes, curves: pd.DataFrame, models: list[str]) -> None:
    """Draw the published curves of one dataset, each in the colour of its model."""
    for model, curve in curves.groupby("model"):
        look = published_look(models.index(str(model)))
        axis.plot(curve["layer"] / curve["n_layers"], curve["accuracy"], **look)


def name_curves(
    figure: Figure, scores: pd.DataFrame, labels: Labels, compare: str, more: Mapping[str, Mapping[str, Any]]
) -> None:
    """Name the lines below the panels, and what is held fixed; ``more`` are lines beside the curves, by their names."""
    models = {name: entry["label"] for name, entry in labels["models"].items()}
    names = [models.get(value, word(value)) for value in scores[compare].unique()]
    handles = [Line2D([], [], label=name, **look_of(n)) for n, name in enumerate(names)]
    handles += [Line2D([], [], label=name, **look, color="#444444") for name, look in more.items()]
    if mostly_unsolved(scores.groupby([*SCORED, "layer"])).any():
        handles.append(Line2D([], [], color="#444444", label="most probes of the layer not converged", **UNSOLVED))
    handles.append(Line2D([], [], label="chance (majority class)", **CHANCE))
    held = [
        key
        for key in ("quantization", "perturbation", "site", "position")
        if key != compare and scores[key].nunique() == 1
    ]
    fixed = [word(scores[key].iloc[0]) for key in held]
    if compare != "model" and scores["model"].nunique() == 1:
        fixed.insert(0, models[scores["model"].iloc[0]])
    splits = scores["seed"].nunique()
    band = f"; mean and range of {splits} splits" if splits > 1 else ""
    converged = scores["converged"].mean()
    solved = f"; {converged_in_words(converged)}" if converged < 1 else ""
    place_legend(figure, handles, columns=min(len(handles), 5), title=", ".join(fixed) + band + solved)
