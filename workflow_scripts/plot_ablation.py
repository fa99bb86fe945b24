"""Draw what each switch does to accuracy and depth, a row of panels for each dataset."""

import matplotlib as mpl
import pandas as pd
from conceptdepth.figures.curves import held_at_first
from conceptdepth.figures.panels import panel_inches, title_lines
from conceptdepth.figures.style import COLOURS, STYLE, Labels, probed_in, rows_of, save_for_job, word
from conceptdepth.provenance.job import job
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MEASURES = {
    "peak_accuracy": "Peak accuracy",
    "gain_centre": "Centre of gain",
    "converging_point_published": "Converging point (paper)",
}
"""Column -> title of its panels."""

GAIN, LOSS = COLOURS[0], COLOURS[1]


def plot_ablation(ablation: pd.DataFrame, labels: Labels) -> Figure:
    """Draw ``ablation.csv``: for each dataset a bar for each switch, from the value without it to the value with it.

    Each site, position and probe has such a row. Model, weight format and texts are held at their first value, which is
    that of the run.
    """
    ablation = held_at_first(ablation[ablation["model"] == ablation["model"].iloc[0]], "model")
    every = probed_in(ablation)
    curves = [
        (name, probed, rows_of(ablation[ablation["dataset"] == name], probed))
        for name in labels["datasets"]
        for probed in every
    ]
    curves = [curve for curve in curves if len(curve[-1]) > 1]
    heights = [len(table) for *_, table in curves]
    with mpl.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(curves),
            len(MEASURES),
            figsize=(10.4, 0.9 + sum(0.55 + 0.16 * any(every.values()) + 0.26 * height for height in heights)),
            height_ratios=heights,
            sharex="col",
            sharey="row",
            squeeze=False,
        )
        for row, (dataset, probed, table) in zip(grid, curves):
            for axis, (measure, title) in zip(row, MEASURES.items()):
                draw_bars(axis, table, measure)
                axis.set_title(title)
            title = f"{labels['datasets'][dataset]['label']}: {row[0].get_title('left').lower()}"
            inches = panel_inches(figure, len(MEASURES))
            row[0].set_title(title_lines(title, every[probed], inches=inches))
        for axis in grid[0]:  # The margins for numbers exceed the range of an accuracy or a depth.
            axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= 1.001])
        first = ablation.iloc[0]
        held = [
            labels["models"][first["model"]]["label"],
            *(word(first[key]) for key in ("quantization", "perturbation")),
        ]
        figure.supxlabel(f"{', '.join(held)}. Dashed: without any switch.", fontsize=8.5)
    return figure


def draw_bars(axis: Axes, table: pd.DataFrame, measure: str) -> None:
    """Draw a bar for each switch from the curve's own value to that under the switch, with the change in numbers."""
    own, *switched = table[["switch", measure]].itertuples(index=False, name=None)
    axis.axvline(own[1], color="#666666", linestyle=(0, (4, 3)), linewidth=1)
    for place, (_, value) in enumerate(switched):
        change = value - own[1]
        axis.barh(place, change, left=own[1], height=0.62, color=GAIN if change > 0 else LOSS)
        text = f"{value:.2f} ({change:+.2f})" if change == change else "none"
        axis.annotate(
            text,
            (value if change == change else own[1], place),
            xytext=(3 if not change < 0 else -3, 0),
            textcoords="offset points",
            ha="left" if not change < 0 else "right",
            va="center",
            fontsize=7.5,
        )
    axis.set_yticks(range(len(switched)), [word(name) for name, _ in switched])
    axis.set_ylim(len(switched) - 0.5, -0.5)
    axis.margins(x=0.4)
    axis.grid(axis="y", visible=False)


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_ablation(pd.read_csv(snakemake.input.ablation), snakemake.params.labels)
        save_for_job(figure, snakemake, record.id)
