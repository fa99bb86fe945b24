"""Draw the published accuracies of the three 7B models, a panel for each dataset."""

import matplotlib as mpl
import pandas as pd
from conceptdepth.figures.published import add_published_legend
from conceptdepth.figures.style import CHANCE, COLOURS, STYLE, save_for_job
from conceptdepth.provenance.job import job
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

POINT = {"marker": "o", "linestyle": "", "markersize": 6, "markerfacecolor": "white", "markeredgewidth": 1.5}
"""Look of a converging point."""

TICKS = (0, 0.25, 0.5, 0.75, 1)
"""Ticks of the axis of depth."""


def plot_published_curves(curves: pd.DataFrame, points: pd.DataFrame, datasets: pd.DataFrame) -> Figure:
    """Draw the tables of ``resources/published/``; the order of datasets gives that of the panels."""
    models = list(curves["model"].unique())
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(3, 3, figsize=(9, 7.8), sharex=True, sharey=True)
        for axis, dataset in zip(axes.flat, datasets.to_dict("records")):
            name = dataset["dataset"]
            draw_dataset(axis, curves[curves["dataset"] == name], points[points["dataset"] == name], models)
            axis.axhline(dataset["majority"], **CHANCE)
            axis.set_title(name)
        for axis in axes[-1]:
            axis.set_xlabel("Relative depth (layer / number of layers)")
        for axis in axes[:, 0]:
            axis.set_ylabel("Test accuracy")
        axes[0, 0].set(xlim=(0, 1), xticks=TICKS, xticklabels=[f"{tick:g}" for tick in TICKS])
        handles = [Line2D([], [], color=colour, label=model) for colour, model in zip(COLOURS, models)]
        handles.append(Line2D([], [], color="#444444", label="published converging point", **POINT))
        add_published_legend(figure, handles)
    return figure


def draw_dataset(axis: Axes, curves: pd.DataFrame, points: pd.DataFrame, models: list[str]) -> None:
    """Draw a curve for each model, with its published converging point on it."""
    for model, colour in zip(models, COLOURS):
        curve = curves[curves["model"] == model].sort_values("layer_0based").reset_index()
        depth = curve["layer_0based"] / curve["n_layers"]
        axis.plot(depth, curve["accuracy"], color=colour)
        percent = points.loc[points["model"] == model, "converge_pct"].item()
        layer = round(percent / 100 * len(curve)) - 1  # Published points count layers from 1.
        axis.plot(depth[layer], curve["accuracy"][layer], color=colour, zorder=3, clip_on=False, **POINT)


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_published_curves(
            *(pd.read_csv(snakemake.input[table]) for table in ("curves", "points", "datasets"))
        )
        save_for_job(figure, snakemake, record.id)
