"""Titles, labels and ticks of figures can be read: none lies over another one, is cut off or is TeX."""

import itertools
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conceptdepth.figures.curves import draw_curves
from conceptdepth.figures.style import STYLE
from figure_tables import FIGURES, FOUR, ONE, drift_of, labels_of, scores_of
from matplotlib import pyplot as plt
from matplotlib.text import Text
from plot_drift import plot_drift
from plot_published_curves import plot_published_curves
from plot_published_sizes import plot_published_sizes

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def published_of(name):
    return pd.read_csv(ROOT / f"resources/published/{name}.csv")


def published_curves():
    return plot_published_curves(*map(published_of, ("site_curves_7B", "site_peak_converge", "datasets")))


def published_sizes():
    return plot_published_sizes(*map(published_of, ("site_peak_converge", "models", "datasets")))


def titles_and_labels(figure):
    return [
        text
        for axis in figure.axes
        for text in (axis.title, axis._left_title, axis._right_title, axis.xaxis.label, axis.yaxis.label)
        if text.get_text()
    ]


def assert_readable(figure):
    """No title or label overlaps with another one or is cut off, and no text is TeX."""
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
        texts = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    assert not [text for text in texts if "mathdefault" in text or "\\" in text]
    boxes = [(text.get_text(), text.get_window_extent()) for text in titles_and_labels(figure)]
    assert not [(one, two) for (one, a), (two, b) in itertools.combinations(boxes, 2) if a.overlaps(b)]
    whole = figure.bbox.padded(1)
    assert not [name for name, box in boxes if not (whole.contains(*box.min) and whole.contains(*box.max))]


@pytest.mark.parametrize(
    ("count", "probed"),
    # The fewest panels, whose titles have the least room, and the most.
    [(1, ONE), (3, FOUR), *(pytest.param(*few, marks=pytest.mark.long) for few in ((1, FOUR), (3, ONE)))],
    ids=["1-one", "3-four", "1-four", "3-one"],
)
@pytest.mark.parametrize("name", FIGURES)
def test_titles_and_labels_of_two_models_can_be_read(name, count, probed):
    labels = labels_of(count, 2)
    for model in labels["models"].values():
        model["label"] = "Llama-3.1-8B-Instruct 0"
    assert_readable(FIGURES[name](labels, probed))


@pytest.mark.parametrize("draw", [published_curves, published_sizes])
def test_titles_and_labels_of_published_figures_can_be_read(draw):
    assert_readable(draw())


def test_the_ticks_of_a_logarithmic_axis_are_plain_numbers():
    labels = labels_of(1, 1)
    drift = drift_of(labels)
    figure = plot_drift(drift.assign(relative_change=np.geomspace(0.002, 0.5, len(drift))), labels)
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels(which="both")]
    assert {"0.001", "0.01", "0.1", "1"} <= set(ticks)


@pytest.mark.parametrize("probed", [ONE, FOUR], ids=["one", "four"])
@pytest.mark.parametrize("compare", ["model", "quantization"])
def test_the_domain_stands_beside_the_first_line_of_the_title(compare, probed):
    labels = labels_of(3, 2)
    figure = draw_curves(scores_of(labels, probed), labels, compare=compare)
    figure.draw_without_rendering()
    for axis in figure.axes[:3]:
        title = axis._left_title
        (domain,) = (text for text in axis.texts if text.get_text().strip() in ("emotional", "inferential", "factual"))
        top = title.get_window_extent().y1
        assert domain.get_window_extent().y1 == pytest.approx(top, abs=1), "pixels"
        title.set_text(title.get_text().split("\n")[0])
        assert title.get_window_extent().x1 < domain.get_window_extent().x0
