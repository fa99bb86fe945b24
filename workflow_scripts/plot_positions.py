"""Draw depth and accuracy of every concept at each position and in each wording, one row each."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from conceptdepth.figures.panels import place_legend, title_lines
from conceptdepth.figures.rows import NOTHING, ROW, draw_value, has_no_depth, name_rows, say
from conceptdepth.figures.style import (
    COLOURS,
    INTERVAL,
    POINT,
    STYLE,
    UNSOLVED_ALPHA,
    Labels,
    save_for_job,
    told_apart,
    word,
)
from conceptdepth.ground.names import CONTROL_FORMATS
from conceptdepth.ground.tables import at_first
from conceptdepth.provenance.job import job
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

DEPTH = "gain_centre"
"""Column of the depth that is drawn."""

MEASURES = {DEPTH: "Relative depth\n(centre of gain)", "held_out_peak_accuracy": "Held-out peak accuracy"}
"""Column -> what its axis shows."""

BLOCK = ("site", "probe", "model", "dataset")
"""Columns of which each combination has panels of its own."""

FIXED = ("quantization", "perturbation", "site", "probe")
"""Columns that the legend names where they have one value."""

NAMES_WIDTH = 38
"""Characters of the name of a row, on one line."""

HEAD, FOOT = 0.34, 0.9
"""Inches of the first line of a title and what is about it, and of the axes below all."""

GAP, LEAST = 0.4, 2.0
"""Lines between two wordings, and those that a panel has at least."""

WIDTH, TITLE_WIDTH = 8.2, 5.4
"""Inches across the figure, and of its titles, which may reach over both panels of a row."""


@dataclass(frozen=True)
class Block:
    """The rows of one dataset."""

    title: str
    """What they are of."""
    rows: pd.DataFrame
    """What `in_rows` returns."""

    @property
    def height(self) -> float:
        """Lines that the rows take."""
        return max(LEAST, float(self.rows["end"].max()))


def plot_positions(depths: pd.DataFrame, labels: Labels) -> Figure:
    """Draw ``concept_depth.csv``: a panel of depths and one of accuracies for each site, probe, model and dataset.

    The weight format is held at its first value. Positions that are one token have one row with both names.
    """
    depths = at_first(depths[~depths["quantization"].isin(CONTROL_FORMATS)], ["quantization"])
    wordings = dict(zip(depths["perturbation"].unique(), COLOURS * (1 + len(depths) // len(COLOURS))))
    blocks = blocks_of(depths, labels, wordings)
    heights = [HEAD + ROW * (block.height + block.title.count("\n")) for block in blocks]
    with mpl.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(blocks),
            len(MEASURES),
            figsize=(WIDTH, FOOT + sum(heights)),
            height_ratios=[block.height for block in blocks],
            sharex="col",
            sharey="row",
            squeeze=False,
        )
        for axes, block in zip(grid, blocks):
            for axis, measure in zip(axes, MEASURES):
                draw_rows(axis, block.rows, measure)
            add_names(axes, block.rows, wordings)
            axes[0].set_ylim(block.height - 0.4, -0.6)
            axes[0].set_title(block.title)
            axes[1].tick_params(axis="y", length=0)
        for axis, title in zip(grid[-1], MEASURES.values()):
            axis.set_xlabel(title)
            axis.xaxis.set_major_locator(MaxNLocator(6))
            axis.xaxis.set_major_formatter("{x:g}")
        grid[0, 0].set_xlim(-0.02, 1.02)
        name_points(figure, depths, labels)
    return figure


def blocks_of(depths: pd.DataFrame, labels: Labels, wordings: dict[str, str]) -> list[Block]:
    """Return what has panels of its own, in the order of the run."""
    probed = list(depths[["site", "probe"]].drop_duplicates().itertuples(index=False, name=None))
    models = [model for model in labels["models"] if model in set(depths["model"])]
    found = []
    for names in [(*of, model, dataset) for of in probed for model in models for dataset in labels["datasets"]]:
        rows = depths[(depths[list(BLOCK)] == list(names)).all(axis=1)]
        if len(rows):
            texts = [
                labels["datasets"][names[3]]["label"],
                labels["models"][names[2]]["label"] if len(models) > 1 else "",
            ]
            texts = [", ".join(filter(None, texts)), told_apart(names[:2], probed)]
            found.append(Block(title_lines(*texts, inches=TITLE_WIDTH), in_rows(rows, wordings)))
    return found


def in_rows(depths: pd.DataFrame, wordings: dict[str, str]) -> pd.DataFrame:
    """Return a row of ``concept_depth.csv`` for each wording and each position that is another token.

    Columns more are ``name``, ``colour``, ``place``, the line on which it stands, counted from the top, ``end``, the
    first line below it, and ``head``, that of the name of its wording, which is left free where there are several.
    """
    found, place = [], 0.0
    for wording, colour in wordings.items():
        rows = depths[depths["perturbation"] == wording]
        head, place = place, place + (len(rows) > 0 and len(wordings) > 1)
        for _, same in rows.groupby("same_tokens_as", sort=False):
            name = textwrap.fill(" = ".join(map(word, same["position"])), NAMES_WIDTH)
            lines = 1 + name.count("\n")
            at = {"head": head, "place": place + (lines - 1) / 2, "end": place + lines}
            found.append(same.iloc[0].to_dict() | {"name": name, "colour": colour} | at)
            place += lines
        place += GAP if len(rows) else 0
    return pd.DataFrame(found)


def add_names(axes: Sequence[Axes], rows: pd.DataFrame, wordings: dict[str, str]) -> None:
    """Write the name of each row beside it, and those of wordings above their rows if there are several."""
    heads = dict(zip(rows["head"], rows["perturbation"])) if len(wordings) > 1 else {}
    heads_in_words = {line: (word(wording), wordings[wording]) for line, wording in heads.items()}
    name_rows(axes, dict(zip(rows["place"], rows["name"])), heads_in_words)


def draw_rows(axis: Axes, rows: pd.DataFrame, measure: str) -> None:
    """Draw a measure of each row with its interval; a depth only of curves above their baselines."""
    for row in rows.to_dict("records"):
        if measure == DEPTH and has_no_depth(row):
            say(axis, NOTHING, row["place"], row["colour"])
        else:
            draw_value(axis, row, measure, row["place"], row["colour"])


def name_points(figure: Figure, depths: pd.DataFrame, labels: Labels) -> None:
    """Name markers below the panels, and what is held fixed; wordings are named at their rows."""
    grey = {"color": "#444444"}
    handles = [Line2D([], [], label="value", **POINT, **grey), Line2D([], [], label="interval", **INTERVAL, **grey)]
    if depths["mostly_converged"].eq(False).any():
        faded = {"label": "most probes of the curve not converged", "alpha": UNSOLVED_ALPHA}
        handles.append(Line2D([], [], **faded, **POINT, **grey))
    models = depths["model"].unique()
    fixed = [labels["models"][models[0]]["label"]] if len(models) == 1 else []
    fixed += [word(depths[key].iloc[0]) for key in FIXED if depths[key].nunique() == 1]
    place_legend(figure, handles, columns=len(handles), title=", ".join(fixed))


if __name__ == "__main__":
    with job(snakemake) as record:
        figure = plot_positions(pd.read_csv(snakemake.input.depths), snakemake.params.labels)
        save_for_job(figure, snakemake, record.id)
