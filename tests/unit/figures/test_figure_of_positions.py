"""The figure of positions has one row for each token and wording, and says what has no depth."""

import itertools

import numpy as np
import pandas as pd
import pytest
from conceptdepth.figures.rows import NOTHING
from conceptdepth.figures.style import STYLE, UNSOLVED_ALPHA, word
from figure_tables import labels_of
from matplotlib import pyplot as plt
from matplotlib import rc_context
from plot_positions import DEPTH, plot_positions

POSITIONS = ["last", "text_last", "text_mean", "prompt_mean", "span_last", "span_mean"]
WORDINGS = ["clean", "reworded", "question_first", "chat"]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def depths_of(labels, positions=POSITIONS, wordings=WORDINGS, sites=("mlp_input",)):
    """Return ``concept_depth.csv``, in which the last token of the text is that of the prompt but in a chat."""
    draw, rows = np.random.default_rng(0), []
    for model, dataset, site, wording in itertools.product(labels["models"], labels["datasets"], sites, wordings):
        names = {"model": model, "quantization": "fp32", "dataset": dataset, "perturbation": wording, "site": site}
        for position in positions:
            depth, accuracy = draw.uniform(0.2, 0.8, 2)
            values = {
                "probe": "logistic_regression", "gain_centre": depth, "gain_centre_low": depth - 0.1,
                "gain_centre_high": depth + 0.1, "held_out_peak_accuracy": accuracy,
                "held_out_peak_accuracy_low": accuracy - 0.1, "held_out_peak_accuracy_high": accuracy + 0.1,
                "jump_point": np.nan, "same_tokens_as": position, "above_baselines": True, "mostly_converged": True,
            }  # fmt: skip
            same = position == "text_last" and wording != "chat"
            rows.append((rows[-1] if same else names | values) | {"position": position})
    return pd.DataFrame(rows)


def points(axis):
    return {float(line.get_ydata()[0]): line for line in axis.lines if line.get_marker() == "o"}


def names(axis):
    return dict(zip(axis.get_yticks(), (" ".join(text.get_text().split()) for text in axis.get_yticklabels())))


def test_each_row_has_its_depth_and_its_accuracy_under_its_name():
    labels = labels_of(2, 1)
    depths = depths_of(labels)
    figure = plot_positions(depths, labels)
    assert len(figure.axes) == 2 * 2, "datasets, measures"
    for (left, right), dataset in zip(np.reshape(figure.axes, (2, 2)), labels["datasets"]):
        found = names(left)
        rows = depths[(depths["dataset"] == dataset)]
        rows = rows[(rows["position"] != "text_last") | (rows["perturbation"] == "chat")]
        drawn = [points(axis) for axis in (left, right)]
        assert sorted(drawn[0]) == sorted(drawn[1])
        for place, row in zip(sorted(drawn[0]), rows.to_dict("records"), strict=True):
            both = row["position"] == "last" and row["perturbation"] != "chat"
            words = "last token = last token of the text" if both else word(row["position"])
            assert found.pop(place) == words
            assert drawn[0][place].get_xdata()[0] == row["gain_centre"]
            assert drawn[1][place].get_xdata()[0] == row["held_out_peak_accuracy"]
        assert list(found.values()) == [word(name) for name in WORDINGS], "above the rows of each"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["value", "interval"], "wordings are named at their rows"


def test_a_curve_that_is_not_above_its_baselines_has_an_accuracy_and_no_depth():
    labels = labels_of(1, 1)
    depths = depths_of(labels, positions=["last", "text_mean", "prompt_mean"], wordings=["clean"])
    depths["above_baselines"] = pd.Series([True, False, np.nan], dtype=object)
    left, right = plot_positions(depths, labels).axes
    assert [len(points(axis)) for axis in (left, right)] == [2, 3]
    (text,) = left.texts
    assert (text.get_text(), text.get_position()[1]) == (NOTHING, 1)
    assert list(names(left).values()) == ["last token", "mean over the text", "mean over the prompt"], "of one wording"


def test_curves_that_are_alike_of_other_tokens_have_rows_of_their_own():
    """As two positions that know nothing, of which each says the same of both statements of a pair."""
    labels = labels_of(1, 1)
    depths = depths_of(labels, positions=["span_last", "span_mean"], wordings=["clean"])
    measured = [column for column in depths if column.startswith(("gain", "held"))]
    depths[measured] = depths.loc[0, measured].to_numpy()
    axis = plot_positions(depths, labels).axes[0]
    assert list(names(axis).values()) == ["last token of the span", "mean over the span"]


def test_curves_of_which_most_probes_did_not_converge_are_faded():
    labels = labels_of(1, 1)
    depths = depths_of(labels, positions=["last", "text_mean"], wordings=["clean"])
    depths["mostly_converged"] = pd.Series([True, False], dtype=object)
    figure = plot_positions(depths, labels)
    for axis in figure.axes:
        assert [line.get_alpha() for line in points(axis).values()] == [1.0, UNSOLVED_ALPHA]
    assert any("not converged" in text.get_text() for text in figure.legends[0].get_texts())


@pytest.mark.parametrize(("n_datasets", "n_models", "sites"), [(1, 1, 1), (3, 1, 1), (2, 2, 2)])
def test_names_of_rows_can_be_read(n_datasets, n_models, sites):
    """None lies over another one or is cut off, with one row and with many."""
    labels = labels_of(n_datasets, n_models)
    some = ["mlp_input", "attention_output"][:sites]
    for depths in (
        depths_of(labels, sites=some).assign(
            position=lambda rows: rows["position"].replace("text_mean", "span_and_text_mean")
        ),
        depths_of(labels, positions=["last", "text_last"], wordings=["clean"], sites=some),
    ):
        figure = plot_positions(depths, labels)
        with rc_context(STYLE):
            figure.canvas.draw()
        for axis in figure.axes[::2]:
            boxes = [text.get_window_extent() for text in axis.get_yticklabels()]
            boxes.append(axis._left_title.get_window_extent())
            assert not [1 for one, other in itertools.combinations(boxes, 2) if one.shrunk(1, 0.9).overlaps(other)]
            assert all(figure.bbox.padded(1).contains(*corner) for box in boxes for corner in (box.min, box.max))


def test_controls_are_left_out_and_the_first_format_is_shown():
    labels = labels_of(1, 1)
    depths = depths_of(labels, positions=["last", "text_mean"], wordings=["clean"])
    more = [depths.assign(quantization=name, gain_centre=0.9) for name in ("random", "rerun", "int8")]
    axis = plot_positions(pd.concat([more[0], depths, *more[1:]]), labels).axes[0]
    assert [line.get_xdata()[0] for line in points(axis).values()] == depths[DEPTH].tolist()
