"""Figures draw the numbers of the tables; files are equal for equal data."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from conceptdepth.figures.curves import draw_curves
from conceptdepth.figures.style import save_figure
from conceptdepth.ground.names import CELL
from matplotlib import pyplot as plt
from plot_answers import plot_answers
from plot_drift import plot_drift
from plot_lens import plot_lens

LABELS = {
    "models": {"a": {"label": "Model A"}, "b": {"label": "Model B"}},
    "datasets": {
        "x": {"label": "Dataset X", "domain": "factual"},
        "y": {"label": "Dataset Y", "domain": "emotional"},
    },
}


@pytest.fixture
def scores():
    draw = np.random.default_rng(0)
    rows = [
        {"model": m, "quantization": q, "dataset": d, "perturbation": p, "site": "mlp_input", "position": "last", "probe": "logistic_regression",
         "target": "concept", "layer": layer, "n_layers": 4, "seed": seed, "accuracy": draw.uniform(0.4, 1), "majority": 0.5,
         "converged": True}
        for m in "ab" for q in ("fp32", "int8") for d in "xy" for p in ("clean", "noise") for layer in range(4) for seed in (1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def lines_of(axis):
    """Curves, without the chance line."""
    return [line for line in axis.lines if len(line.get_xdata()) == 4]


def test_a_panel_for_each_dataset_and_a_line_for_each_model(scores):
    figure = draw_curves(scores, LABELS, compare="model")
    panels = [axis for axis in figure.axes if axis.lines]
    assert [axis.get_title(loc="left") for axis in panels] == ["Dataset X", "Dataset Y"]
    assert [len(lines_of(axis)) for axis in panels] == [2, 2]
    cell = scores[
        (scores.model == "b")
        & (scores.dataset == "y")
        & (scores.quantization == "fp32")
        & (scores.perturbation == "clean")
    ]
    line = lines_of(panels[1])[1]
    np.testing.assert_allclose(line.get_ydata(), cell.groupby("layer")["accuracy"].mean())
    np.testing.assert_allclose(line.get_xdata(), [0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize("compare", ["model", "quantization"])
@pytest.mark.parametrize(("count", "shape"), [(3, (1, 3)), (4, (1, 4)), (5, (2, 3)), (9, (3, 3))])
def test_many_datasets_are_wrapped_and_each_column_has_its_label(scores, count, shape, compare):
    names = [f"d{n}" for n in range(count)]
    of_one = scores[(scores["dataset"] == "x") & (scores["model"] == "a")]
    scores = pd.concat([of_one.assign(dataset=name) for name in names])
    labels = LABELS | {"datasets": {name: {"label": name, "domain": "factual"} for name in names}}
    figure = draw_curves(scores, labels, compare=compare)
    panels = [axis for axis in figure.axes if axis.lines]
    assert [axis.get_title(loc="left") for axis in panels] == names
    assert panels[0].get_subplotspec().get_gridspec().get_geometry() == shape
    labelled = [axis.get_title(loc="left") for axis in panels if axis.get_xlabel()]
    assert labelled == names[-shape[1] :]


def test_curves_without_confounds_are_thin_in_the_colour_of_their_curves_and_named_in_the_legend(scores):
    partial = scores.assign(target="partial_out", accuracy=scores["accuracy"] / 2)
    figure = draw_curves(pd.concat([scores, partial]), LABELS, compare="model")
    for panel in (axis for axis in figure.axes if axis.lines):
        first, second, *thin = lines_of(panel)
        for line, whole in zip(thin, (first, second), strict=True):
            assert line.get_color() == whole.get_color()
            assert line.get_linewidth() < whole.get_linewidth()
            np.testing.assert_allclose(line.get_ydata(), whole.get_ydata() / 2)
            np.testing.assert_allclose(line.get_xdata(), whole.get_xdata())
    named = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert named == ["Model A", "Model B", "thin: without confounds", "chance (majority class)"]


def test_a_published_curve_is_dotted_in_the_colour_of_its_model_and_named_in_the_legend(scores):
    published = pd.DataFrame({"model": "b", "dataset": "y", "layer": range(8), "n_layers": 8, "accuracy": 0.7})
    figure = draw_curves(scores, LABELS, compare="model", published=published)
    other, panel = [axis for axis in figure.axes if axis.lines]
    assert not [line for line in other.lines if len(line.get_xdata()) == 8]
    (line,) = (line for line in panel.lines if len(line.get_xdata()) == 8)
    assert line.get_color() == lines_of(panel)[1].get_color()
    assert line.get_linestyle() != "-"
    np.testing.assert_allclose(line.get_xdata(), np.arange(8) / 8)
    assert any("published" in text.get_text() for text in figure.legends[0].texts)
    nothing = draw_curves(scores, LABELS, compare="model", published=published[:0])
    assert not any("published" in text.get_text() for text in nothing.legends[0].texts)


@pytest.mark.parametrize("compare", ["perturbation", "quantization"])
def test_comparisons_have_a_row_for_each_model(scores, compare):
    figure = draw_curves(scores, LABELS, compare=compare)
    panels = [axis for axis in figure.axes if axis.lines]
    assert len(panels) == 4
    values = list(scores[compare].unique())
    cell = scores[(scores.model == "b") & (scores.dataset == "x") & (scores[compare] == values[1])]
    other = "quantization" if compare == "perturbation" else "perturbation"
    cell = cell[cell[other] == scores[other].iloc[0]]
    np.testing.assert_allclose(lines_of(panels[2])[1].get_ydata(), cell.groupby("layer")["accuracy"].mean())


def test_chance_is_drawn_and_axes_are_named(scores):
    axis = draw_curves(scores, LABELS, compare="model").axes[0]
    assert any(set(line.get_ydata()) == {0.5} for line in axis.lines)
    assert axis.get_xlabel() == "Relative depth (layer / number of layers)"
    assert axis.get_ylabel() == "Test accuracy"


def test_equal_data_give_equal_files(scores, tmp_path):
    for name in ("one", "two"):
        figure = draw_curves(scores, LABELS, compare="model")
        save_figure(
            figure,
            svg=str(tmp_path / f"{name}.svg"),
            png=str(tmp_path / f"{name}.png"),
            record="f" * 64,
            dots_per_inch=100,
        )
    for extension in ("svg", "png"):
        assert (tmp_path / f"one.{extension}").read_bytes() == (tmp_path / f"two.{extension}").read_bytes()
    assert b"Model B" in (tmp_path / "one.svg").read_bytes(), "text stays text"


def test_answers_stand_beside_the_best_and_the_last_layer_of_their_model(scores):
    scores["auc"] = scores["accuracy"] / 2
    cells = scores.drop_duplicates(list(CELL)).reset_index(drop=True)
    answers = cells.assign(accuracy=np.linspace(0.5, 0.6, len(cells)), auc=0.45, majority=0.7)
    chosen = (answers[list(CELL)] == ["a", "fp32", "y", "clean"]).all(axis=1)
    answers.loc[chosen, "accuracy"] = 0.1
    figure = plot_answers(answers, scores, LABELS)
    assert len(figure.axes) == 4
    accuracies, areas = figure.axes[:2]
    assert accuracies.get_title(loc="left") == "Model A: accuracy"
    curve = scores[(scores[list(CELL)] == ["a", "fp32", "y", "clean"]).all(axis=1)]
    means = curve.groupby("layer")["accuracy"].mean()
    drawn = {tuple(line.get_xdata()) for line in accuracies.lines if list(line.get_ydata()) == [1]}
    assert drawn == {(0.1,), (means.max(),), (means.iloc[-1],)}
    chance = [
        [line.get_xdata()[0] for line in axis.lines if len(line.get_xdata()) == 2] for axis in (accuracies, areas)
    ]
    assert chance == [[0.7, 0.7], [0.5, 0.5]]
    assert all(axis.get_xlim()[0] < 0.1 for axis in figure.axes), (
        "panels share their scale, the lowest point is in view"
    )


def test_the_lens_stands_beside_the_probes_of_its_cell_and_ends_in_the_own_answer(scores):
    scores["auc"] = scores["accuracy"] / 2
    rows = scores[scores["seed"] == scores["seed"].iloc[0]].reset_index(drop=True)
    lens = rows.assign(
        accuracy=np.linspace(0.5, 0.6, len(rows)), auc=0.45, majority=0.7, low=0.4, high=0.8, standard_error=0.1
    )
    figure = plot_lens(lens, scores, LABELS)
    assert len(figure.axes) == 2 * 2 * 2, "models, measures, datasets"
    axis = figure.axes[1]
    assert axis.get_title(loc="left").split("\n")[-1] == "Model A"
    of_cell = [list(CELL), ["a", "fp32", "y", "clean"]]
    means = scores[(scores[of_cell[0]] == of_cell[1]).all(axis=1)].groupby("layer")["accuracy"].mean()
    own = lens[(lens[of_cell[0]] == of_cell[1]).all(axis=1)]["accuracy"]
    probe, drawn, answer, chance = (list(line.get_ydata()) for line in axis.lines)
    assert (probe, drawn, answer, chance) == (list(means), list(own), [own.iloc[-1]], [0.7, 0.7])
    assert [list(line.get_ydata()) for line in figure.axes[3].lines][-1] == [0.5, 0.5]


def test_drift_has_a_line_for_each_comparison_in_which_nothing_else_differs():
    pairs = [
        ("quantization", "fp32", "rerun", "clean"), ("quantization", "fp32", "int8", "clean"), ("quantization", "fp32", "int8", "noise"),
        ("perturbation", "clean", "noise", "fp32"), ("perturbation", "clean", "noise", "int8"),
    ]  # fmt: skip
    rows = [
        {"model": m, "dataset": d, "site": "mlp_input", "position": "last", "probe": "logistic_regression", "layer": layer, "compared": compared,
         "first": first, "second": second, "quantization": second if compared == "quantization" else other,
         "perturbation": second if compared == "perturbation" else other, "relative_change": 0.01 * (layer + number),
         "transfer_change": -0.1 * number, "transfer_change_low": -0.1 * number - 0.05, "transfer_change_high": -0.1 * number + 0.05}
        for m in "ab" for d in "xy" for number, (compared, first, second, other) in enumerate(pairs) for layer in range(4)
    ]  # fmt: skip
    figure = plot_drift(pd.DataFrame(rows), LABELS)
    assert len(figure.axes) == 2 * 2 * 2, "models, rows, datasets"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [
        "from 32-bit float to first format, run again", "from 32-bit float to 8-bit integer", "from clean to noise",
    ]  # fmt: skip
    changes, transfers = figure.axes[0], figure.axes[2]
    assert [list(line.get_ydata()) for line in lines_of(transfers)] == [[-0.1 * n] * 4 for n in (0, 1, 3)]
    assert changes.get_yscale() == "log"
    # A change of nothing has no place on a logarithmic axis.
    assert np.isnan(lines_of(changes)[0].get_ydata()[0])


def test_a_figure_taller_than_matplotlib_draws_has_fewer_dots(tmp_path):
    figure = plt.figure(figsize=(1, 700))
    save_figure(figure, svg=str(tmp_path / "a.svg"), png=str(tmp_path / "a.png"), record="0" * 64, dots_per_inch=150)
    assert int.from_bytes((tmp_path / "a.png").read_bytes()[20:24]) == 700 * 93, "pixels"


@pytest.mark.parametrize("text", ["$p<.05", "a $x$ b", "$\\frac{1}$", "_under", "</text><script/>", "a & b"])
def test_a_label_stands_in_a_figure_as_it_is_written(scores, tmp_path, text):
    labels = {
        "models": {"a": {"label": f"{text}"}, "b": {"label": "Model B"}},
        "datasets": {"x": {"label": text, "domain": "factual"}, "y": {"label": "Dataset Y", "domain": "emotional"}},
    }
    figure = draw_curves(scores, labels, compare="model")
    save_figure(figure, svg=str(tmp_path / "a.svg"), png=str(tmp_path / "a.png"), record="0" * 64, dots_per_inch=50)
    tree = ElementTree.parse(tmp_path / "a.svg")
    assert [element.text for element in tree.iter() if element.tag.endswith("}text")].count(text) == 2
    assert not [element.tag for element in tree.iter() if element.tag.endswith(("}script", "}a"))]
