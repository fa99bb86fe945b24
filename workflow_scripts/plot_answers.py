"""Draw what a probe finds beside what the model itself says, a row for each dataset."""

import matplotlib as mpl
import pandas as pd
from conceptdepth.figures.curves import held_at_first
from conceptdepth.figures.panels import panel_inches, place_legend, title_lines
from conceptdepth.figures.style import CHANCE, COLOURS, STYLE, Labels, probed_in, rows_of, same_in_all, save_for_job
from conceptdepth.provenance.job import job
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

MEASURES = {"accuracy": "Accuracy", "auc": "Area under the ROC curve"}
"""Column of both tables -> name of its panels."""

MARKERS = {
    "direct": ({"marker": "D", "color": COLOURS[1]}, "the model's own answer"),
    "last": ({"marker": "o", "color": COLOURS[0], "markerfacecolor": "none"}, "probe, last layer"),
    "best": ({"marker": "o", "color": COLOURS[0]}, "probe, best layer"),
}
"""Column of `beside` -> look and name in the legend."""


def plot_answers(answers: pd.DataFrame, scores: pd.DataFrame, labels: Labels) -> Figure:
    """Draw ``direct_answers.csv`` and ``layer_scores.csv``: for each model a panel of accuracies and one of areas.

    Each site, position and probe has such panels. Weight format and texts are held at their first value.
    """
    scores = held_at_first(scores, "model")
    held = {key: scores[key].iloc[0] for key in ("quantization", "perturbation")}
    for key, value in held.items():
        answers = answers[answers[key] == value]
    models, datasets, every = list(labels["models"]), list(labels["datasets"]), probed_in(scores)
    panels = [(model, probed) for model in models for probed in every]
    with mpl.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(panels),
            len(MEASURES),
            figsize=(8.2, 0.3 + (0.5 + 0.3 * any(every.values()) + 0.42 * len(datasets)) * len(panels)),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for row, (model, probed) in zip(grid, panels):
            of_model = answers[answers["model"] == model].set_index("dataset").loc[datasets]
            of_probes = rows_of(scores[scores["model"] == model], probed)
            names = [labels["models"][model]["label"] if len(models) > 1 else "", every[probed]]
            for axis, (measure, title) in zip(row, MEASURES.items()):
                draw_measure(axis, beside(of_model, of_probes, measure))
                words = [*filter(None, names), title[0].lower() + title[1:] if any(names) else title]
                words = words if every[probed] else [": ".join(words)]  # Names of a probe leave no room beside them.
                axis.set_title(title_lines(*words, inches=panel_inches(figure, len(MEASURES))))
        names = [f"{entry['label']}\n({entry['domain']})" for entry in labels["datasets"].values()]
        grid[0, 0].set_yticks(range(len(datasets)), names)
        grid[0, 0].set_ylim(len(datasets) - 0.5, -0.5)
        grid[0, 0].set_xlim(min(0.4, grid[0, 0].get_xlim()[0]), 1.02)  # Of all panels, which share it.
        handles = [Line2D([], [], linestyle="", label=name, **look) for look, name in MARKERS.values()]
        handles.append(Line2D([], [], label="chance", **CHANCE))
        place_legend(figure, handles, columns=4, title=same_in_all(labels, held))
    return figure


def beside(answers: pd.DataFrame, scores: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return a row for each dataset of one model: the measure of its answers, of its best and last layer, and chance.

    ``answers`` has the datasets as its index; scores of a layer are means over splits.
    """
    curves = scores.groupby(["dataset", "layer"])[measure].mean().groupby("dataset")
    chance = answers["majority"] if measure == "accuracy" else 0.5
    table = pd.DataFrame({"best": curves.max(), "last": curves.last(), "direct": answers[measure], "chance": chance})
    return table.loc[answers.index]


def draw_measure(axis: Axes, table: pd.DataFrame) -> None:
    """Draw what `beside` returns, chance as a line across the row of each dataset."""
    for place, (_, row) in enumerate(table.iterrows()):
        axis.plot([row["chance"]] * 2, [place - 0.5, place + 0.5], **CHANCE)
        axis.hlines(place, row[list(MARKERS)].min(), row[list(MARKERS)].max(), color="#bbbbbb", linewidth=1)
        for column, (look, _) in MARKERS.items():
            axis.plot(row[column], place, linestyle="", markersize=6, **look)
    axis.grid(axis="y", visible=False)


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_answers(
            *(pd.read_csv(snakemake.input[table]) for table in ("answers", "scores")), snakemake.params.labels
        )
        save_for_job(figure, snakemake, record.id)
