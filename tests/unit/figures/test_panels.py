"""Figures of any number of datasets, models, sites and probes show all that was asked for, and nothing is cut off."""

import itertools

import numpy as np
import pandas as pd
import pytest
from conceptdepth.figures.curves import draw_curves
from conceptdepth.figures.style import word
from conceptdepth.ground.names import PROBED
from figure_tables import FIGURES, FOUR, LAYERS, ONE, labels_of, scores_of
from matplotlib import pyplot as plt

COUNTS = (1, 2, 3, 9)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


# The narrowest figure and the one with the most panels; those between are left to make test-long.
@pytest.mark.parametrize(
    "count", [1, *(pytest.param(count, marks=pytest.mark.long) for count in COUNTS[1:-1]), COUNTS[-1]]
)
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_lies_outside_the_figure(name, count):
    """With one model, and with two at two sites by two probes where there is one dataset, the narrowest figure."""
    for n_models, probed in [(1, ONE)] + [(2, FOUR)] * (count == 1):
        figure = FIGURES[name](labels_of(count, n_models), probed)
        figure.canvas.draw()
        width, height = figure.get_size_inches()
        drawn = figure.get_tightbbox()
        assert min(drawn.x0, drawn.y0) >= 0, drawn
        assert drawn.x1 <= width, drawn
        assert drawn.y1 <= height, drawn


# --- Every site, position and probe -----------------------------------------------------------------------------------


# One has rows of them, the other the one probe along whose direction vectors are changed.
@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("positions", "causal")])
def test_every_site_position_and_probe_has_its_panels(name):
    labels = labels_of(1, 1)
    one, four = (FIGURES[name](labels, probed) for probed in (ONE, FOUR))
    assert len([axis for axis in four.axes if axis.axison]) == 4 * len(one.axes)
    said = [" ".join(axis.get_title("left").split()) for axis in four.axes]
    for probed in FOUR:
        assert any(", ".join(map(word, probed)) in text for text in said)
    assert not any("MLP input" in axis.get_title("left") for axis in one.axes)


@pytest.mark.parametrize("compare", ["model", "quantization"])
def test_panels_show_the_curves_of_their_own_site_position_and_probe_of_five_datasets_in_two_rows(compare):
    labels = labels_of(5, 1)
    scores = scores_of(labels, FOUR)
    panels = [axis for axis in draw_curves(scores, labels, compare=compare).axes if axis.lines]
    held = scores[(scores["quantization"] == "fp32") & (scores["perturbation"] == "clean")]
    expected = held.groupby([*PROBED, "dataset"], sort=False)
    shown = itertools.product(FOUR, labels["datasets"])
    for axis, (probed, dataset) in zip(panels, shown, strict=True):
        curve = expected.get_group((*probed, dataset)).groupby("layer")["accuracy"].mean()
        np.testing.assert_allclose(axis.lines[0].get_ydata(), curve)


def test_the_embedding_is_no_site_that_is_drawn():
    labels = labels_of(1, 1)
    scores = scores_of(labels)
    embedding = scores[scores["layer"] == 0].assign(site="embedding", n_layers=1, accuracy=0.1)
    (axis,) = draw_curves(pd.concat([scores, embedding]), labels, compare="model").axes
    assert min(axis.lines[0].get_ydata()) > 0.1


# --- What did not converge ----------------------------------------------------------------------------------


def hollow(axis):
    return [line for line in axis.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "white"]


def test_layers_whose_probes_mostly_did_not_converge_are_hollow_and_the_share_stands_in_the_panel():
    labels = labels_of(2, 1)
    scores = scores_of(labels)
    seed, of_first = scores["seed"] == 1, scores["dataset"] == "d0"
    scores["converged"] = ~(of_first & ((scores["layer"] >= 10) | ((scores["layer"] == 9) & seed)))
    figure = draw_curves(scores, labels, compare="model")
    first, second = figure.axes
    (marks,) = (line for line in hollow(first) if len(line.get_xdata()))
    np.testing.assert_allclose(marks.get_xdata(), np.array([10, 11]) / LAYERS)  # Half of those of layer 9 did.
    assert "79 % of probes converged" in [text.get_text() for text in first.texts]  # 19 of 24.
    assert not any(len(line.get_xdata()) for line in hollow(second))
    assert not any("converged" in text.get_text() for text in second.texts)
    assert any("not converged" in text.get_text() for text in figure.legends[0].texts)
    assert " ".join(figure.legends[0].get_title().get_text().split()).endswith("89 % of probes converged")  # 43 of 48.


def test_where_all_probes_converged_nothing_is_said_of_it():
    figure = FIGURES["accuracy"](labels_of(1, 1), ONE)
    (legend,) = figure.legends
    assert not any(
        "converged" in text.get_text() for text in [*figure.axes[0].texts, *legend.texts, legend.get_title()]
    )


def test_one_unconverged_probe_of_a_thousand_is_not_rounded_away():
    labels = labels_of(1, 1)
    scores = pd.concat([scores_of(labels)] * 50)
    scores["converged"] = np.arange(len(scores)) > 0
    (axis,) = draw_curves(scores, labels, compare="model").axes
    assert "99 % of probes converged" in [text.get_text() for text in axis.texts]
