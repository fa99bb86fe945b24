"""Curves and panels beyond eight can be told apart, and legends have room above or below any number of panels."""

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conceptdepth.figures.curves import draw_curves
from conceptdepth.figures.style import STYLE, look_of, probed_in, published_look, word
from figure_tables import FIGURES, LAYERS, ONE, answers_of, drift_of, labels_of, lens_of, scores_of
from matplotlib import pyplot as plt
from plot_drift import TITLES, plot_drift

COUNT = 20


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def look(line):
    return line.get_color(), str(line._unscaled_dash_pattern)


def curves(axis):
    return [line for line in axis.lines if len(line.get_xdata()) == LAYERS]


def many_formats(labels):
    scores = scores_of(labels).query("quantization == 'fp32' and seed == 1 and perturbation == 'clean'")
    return pd.concat([scores.assign(quantization=f"format_{n}") for n in range(COUNT)])


def test_twenty_curves_of_a_legend_are_distinct_and_each_has_its_look_in_every_panel():
    labels = labels_of(2, 1)
    scores = many_formats(labels)
    scores = scores[(scores["dataset"] != "d1") | (scores["quantization"] != "format_3")]
    figure = draw_curves(scores, labels, compare="quantization")
    looks = [look(line) for line in figure.legends[0].get_lines()][:COUNT]
    assert len(set(looks)) == COUNT
    assert [look(line) for line in curves(figure.axes[0])] == looks
    assert [look(line) for line in curves(figure.axes[1])] == [*looks[:3], *looks[4:]], "one is not there"


def test_twenty_comparisons_of_drift_are_distinct():
    labels = labels_of(1, 1)
    drift = drift_of(labels).query("compared == 'quantization' and perturbation == 'clean'")
    figure = plot_drift(pd.concat([drift.assign(second=f"format_{n}") for n in range(COUNT)]), labels)
    looks = [look(line) for line in figure.legends[0].get_lines()]
    assert len(set(looks)) == COUNT
    for axis in figure.axes:
        assert [look(line) for line in curves(axis)] == looks


def test_published_curves_are_distinct_from_each_other_and_from_computed_ones():
    looks = [(*found.values(),) for found in map(look_of, range(COUNT))]
    others = [(found["color"], found["linestyle"], found["marker"]) for found in map(published_look, range(COUNT))]
    assert len(set(looks)) == len(set(others)) == COUNT
    assert not {line for _, line in looks} & {line for _, line, _ in others}
    assert [colour for colour, _ in looks] == [colour for colour, *_ in others]


# --- Room -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_datasets", "n_models"), [(1, 1), (2, 1), (3, 1), (9, 1), (1, 9), pytest.param(9, 9, marks=pytest.mark.long)]
)
def test_a_legend_has_room_beside_any_number_of_panels(n_datasets, n_models):
    labels = labels_of(n_datasets, n_models)
    scores = scores_of(labels).query("layer < 2 and seed == 1 and perturbation == 'clean'")
    figure = draw_curves(scores, labels, compare="quantization")
    with mpl.rc_context(STYLE):
        figure.canvas.draw()
    panels = [axis for axis in figure.axes if axis.axison]
    assert len(panels) == n_datasets * n_models
    assert figure.get_figwidth() < 12, "inches: a page"
    box = figure.legends[0].get_window_extent()
    assert all(figure.bbox.padded(1).contains(*corner) for corner in (box.min, box.max))
    assert not [axis for axis in panels if axis.get_tightbbox().overlaps(box)]
    texts = [(text, text.get_window_extent()) for axis in panels for text in (axis._left_title, *axis.texts)]
    assert all(figure.bbox.padded(1).contains(*corner) for _, at in texts for corner in (at.min, at.max))


@pytest.mark.parametrize(("n_datasets", "n_models"), [(9, 1), (1, 9)])
def test_panels_of_drift_are_wrapped_and_share_their_scale(n_datasets, n_models):
    labels = labels_of(n_datasets, n_models)
    drift = drift_of(labels)
    drift["relative_change"] = np.geomspace(0.001, 1, len(drift))
    figure = plot_drift(drift, labels)
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (3 * len(TITLES), 3)
    for measure in range(len(TITLES)):
        axes = [axis for axis in figure.axes if axis.get_subplotspec().rowspan.start % len(TITLES) == measure]
        assert len({axis.get_ylim() for axis in axes}) == 1
        shown = [value for axis in axes for line in curves(axis) for value in line.get_ydata()]
        assert axes[0].get_ylim()[0] <= min(shown) <= max(shown) <= axes[0].get_ylim()[1]


# --- Positions of the same tokens -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["accuracy", "formats", "drift", "answers", "lens"])
def test_positions_whose_numbers_are_all_alike_are_drawn_once_and_named_together(name, monkeypatch):
    labels = labels_of(1, 1)
    one, answers, lens = FIGURES[name](labels, ONE), answers_of(labels), lens_of(labels)
    monkeypatch.setattr("figure_tables.answers_of", lambda _: answers)  # Which are of no position.
    monkeypatch.setattr("figure_tables.lens_of", lambda _: lens)
    for table in ("scores_of", "drift_of"):
        original = {"scores_of": scores_of, "drift_of": drift_of}[table]
        monkeypatch.setattr(f"figure_tables.{table}", lambda *given, of=original: twice(of(*given)))
    figure = FIGURES[name](labels, ONE)
    assert len(figure.axes) == len(one.axes)
    said = [" ".join(axis.get_title("left").split()) for axis in figure.axes]
    assert any("last token = last token of the text" in text for text in said)


def twice(table):
    if "text_last" in set(table["position"]):
        return table
    return pd.concat([table, table.assign(position="text_last")])


def test_positions_of_other_numbers_are_drawn_apart():
    scores = scores_of(labels_of(1, 1))
    other = scores.assign(position="text_last", auc=scores["auc"] / 2)
    assert list(probed_in(pd.concat([scores, other])).values()) == [word("last"), word("text_last")]


def test_no_two_names_of_what_is_probed_are_alike():
    """What the configuration names is said in other words, which tell it apart as well."""
    names = ["logistic_regression", "mass_mean", "ridge", "mlp", "mlp_input", "mlp_output", "residual", "residual_mid"]
    assert len({word(name) for name in names}) == len(names)
    assert not [one for one, other in itertools.product(map(word, names), names) if one == other and "_" in other]
