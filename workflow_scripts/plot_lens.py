"""Draw what probes find over depth, what each layer would answer if it were the last, and what the model answers."""

import matplotlib as mpl
import pandas as pd
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
from conceptdepth.figures.style import CHANCE, COLOURS, STYLE, Labels, probed_in, rows_of, same_in_all, save_for_job
from conceptdepth.provenance.job import job
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

MEASURES = {"accuracy": "Accuracy", "auc": "Area under the ROC curve"}
"""Column of both tables -> what its row of panels shows."""

PROBE = {"color": COLOURS[0]}
LENS = {"color": COLOURS[1]}
OWN = {"color": COLOURS[1], "marker": "D", "markersize": 6, "linestyle": ""}
"""Looks of what probes find, of what layers would answer, and of what the model answers."""


def plot_lens(lens: pd.DataFrame, scores: pd.DataFrame, labels: Labels) -> Figure:
    """Draw ``lens.csv`` and ``layer_scores.csv``: a column for each dataset, rows of accuracies and of areas.

    Each model, site, position and probe has such rows. Weight format and texts are held at their first value.
    """
    scores = held_at_first(scores, "model")
    held = {key: scores[key].iloc[0] for key in ("quantization", "perturbation")}
    for key, value in held.items():
        lens = lens[lens[key] == value]
    models, datasets = list(labels["models"]), labels["datasets"]
    rows = [
        (model, probed, told, measure)
        for model in models
        for probed, told in probed_in(scores).items()
        for measure in MEASURES
    ]
    with mpl.rc_context(STYLE):
        figure, grid = panel_grid(len(rows), len(datasets), 1.9)
        for axes, (model, probed, told, measure) in zip(grid, rows):
            of_model = rows_of(scores[scores["model"] == model], probed)
            for axis, (dataset, entry) in zip(axes, datasets.items()):
                own = lens[(lens["model"] == model) & (lens["dataset"] == dataset)]
                draw_panel(axis, of_model[of_model["dataset"] == dataset], own, measure)
                names = [entry["label"], labels["models"][model]["label"] if len(models) > 1 else "", told]
                axis.set_title(title_lines(*names, inches=panel_inches(figure, len(datasets))))
            axes[0].set_ylabel(MEASURES[measure])
            share_scale(axes)
        name_depths(list(grid[-1]))
        make_room_for_titles(figure, len(grid))
        handles = [
            Line2D([], [], label="probe", **PROBE),
            Line2D([], [], label="lens: the answer if this layer were the last", **LENS),
            Line2D([], [], label="the model's own answer", **OWN),
            Line2D([], [], label="chance", **CHANCE),
        ]
        place_legend(figure, handles, columns=4, title=same_in_all(labels, held))
    return figure


def draw_panel(axis: Axes, scores: pd.DataFrame, lens: pd.DataFrame, measure: str) -> None:
    """Draw one measure of a dataset: of probes the mean over splits and their range, of answers with their interval."""
    draw_splits(axis, scores, measure, PROBE)
    depth = lens["layer"] / lens["n_layers"]
    if measure == "accuracy":
        # Where a layer says the same of all statements, draws agree, and an interval would be of the dataset alone.
        varies = (lens["standard_error"] > 0).to_numpy()
        axis.fill_between(depth, lens["low"], lens["high"], where=varies, alpha=0.15, linewidth=0, **LENS)
    axis.plot(depth, lens[measure], **LENS)
    axis.plot(depth.iloc[-1], lens[measure].iloc[-1], **OWN)
    axis.axhline(lens["majority"].iloc[0] if measure == "accuracy" else 0.5, **CHANCE)
    axis.set_xlim(0, 1)


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_lens(
            *(pd.read_csv(snakemake.input[table]) for table in ("lens", "scores")), snakemake.params.labels
        )
        save_for_job(figure, snakemake, record.id)
