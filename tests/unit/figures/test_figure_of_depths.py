"""The figure of depths has the table's numbers and intervals, those that can be trusted before the paper's."""

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conceptdepth.depth.definitions import describe_curve
from conceptdepth.figures.rows import NOTHING
from conceptdepth.figures.style import STYLE, word
from figure_tables import FOUR, LAYERS, ONE, depths_of, labels_of
from matplotlib import pyplot as plt
from plot_depths import ACCURACY, DEPTH, POINTS, plot_depths

VARIANTS = list(itertools.product(("fp32", "int8"), ("clean", "noise")))
MARKERS = {"first_above_baseline": "|", "jump_point": ">", "converging_point": "s"}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn_of(labels, probed=ONE):
    """Return ``concept_depth.csv`` with numbers of its own in each place."""
    depths = depths_of(labels, probed)
    draw = np.random.default_rng(0)
    for column in ("baseline_accuracy", *MARKERS, *(f"{of}{end}" for of in (DEPTH, ACCURACY) for end in INTERVALS)):
        depths[column] = draw.uniform(0.1, 0.9, len(depths))
    return depths


INTERVALS = ("", "_low", "_high")


def one_variant(depths):
    return depths[(depths["quantization"] == "fp32") & (depths["perturbation"] == "clean")]


def points(axis, marker):
    """Return place -> value of the markers of one kind."""
    return {float(line.get_ydata()[0]): line.get_xdata()[0] for line in axis.lines if line.get_marker() == marker}


def intervals(axis):
    segments = [segment for lines in axis.collections for segment in lines.get_segments() if len(segment)]
    return {float(low[1]): (low[0], high[0]) for low, high in segments}


def rows_and_places(axis, depths):
    """Yield each row of the table and its place, found by the names beside the axis."""
    texts = [(place, text.get_text()) for place, text in zip(axis.get_yticks(), axis.get_yticklabels())]
    found, dataset = {}, ""
    for place, text in sorted(texts):
        dataset = text if "(" in text else dataset
        found[dataset, text] = place
    for row in depths.to_dict("records"):
        variant = f"{word(row['quantization'])}, {word(row['perturbation'])}"
        yield row, found[row["name"], variant]


def test_every_point_and_interval_is_the_tables():
    labels = labels_of(3, 2)
    depths = drawn_of(labels)
    entries = labels["datasets"]
    depths["name"] = [f"{entries[name]['label']} ({entries[name]['domain']})" for name in depths["dataset"]]
    axes = plot_depths(depths, labels).axes
    for left, right, model in zip(axes[::2], axes[1::2], labels["models"], strict=True):
        of_model = depths[depths["model"] == model]
        assert len(points(left, "o")) == len(of_model) == 3 * len(VARIANTS)
        for row, place in rows_and_places(axes[0], of_model):
            for axis, column in ((left, DEPTH), (right, ACCURACY)):
                assert points(axis, "o")[place] == row[column]
                assert intervals(axis)[place] == (row[f"{column}_low"], row[f"{column}_high"])
            assert {column: points(left, marker)[place] for column, marker in MARKERS.items()} == {
                column: row[column] for column in MARKERS
            }
            assert points(right, "x")[place] == row["baseline_accuracy"]


def test_the_papers_points_are_smaller_named_as_the_papers_and_come_last():
    labels = labels_of(1, 1)
    figure = plot_depths(drawn_of(labels), labels)
    sizes = {marker: {line.get_markersize() for line in figure.axes[0].lines if line.get_marker() == marker} for marker in "o|>s"}  # fmt: skip
    assert max(sizes[">"] | sizes["s"]) < min(sizes["o"] | sizes["|"])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert (
        [name for name in names if "paper" in name] == names[-2:] == ["jump point (paper)", "converging point (paper)"]
    )
    assert names[0].startswith("centre of gain")


def test_a_depth_that_does_not_exist_has_no_marker_and_no_interval():
    labels = labels_of(2, 1)
    depths = one_variant(drawn_of(labels))
    depths["jump_point"] = [0.25, np.nan]
    depths[[f"{DEPTH}_low", f"{DEPTH}_high"]] = np.nan
    left, _ = plot_depths(depths, labels).axes
    np.testing.assert_array_equal(list(points(left, ">").values()), [0.25, np.nan])
    assert not any(np.isfinite(ends).any() for ends in intervals(left).values())


def test_a_curve_that_is_not_above_its_baselines_has_an_accuracy_and_says_that_it_has_no_depth():
    labels = labels_of(3, 1)
    depths = one_variant(drawn_of(labels)).assign(above_baselines=pd.Series([True, False, np.nan], dtype=object).values)
    left, right = plot_depths(depths, labels).axes
    shown = {marker: list(points(left, marker).values()) for marker in "o|>s"}
    expected = depths.iloc[[0, 2]]
    assert shown == {"o": list(expected[DEPTH])} | {MARKERS[name]: list(expected[name]) for name in MARKERS}
    assert list(points(right, "o").values()) == list(depths[ACCURACY])
    assert [text.get_text() for text in left.texts] == [NOTHING]


def test_without_intervals_and_baselines_the_legend_names_none():
    labels = labels_of(1, 1)
    missing = ["baseline_accuracy", *(f"{name}{end}" for name in (DEPTH, ACCURACY) for end in ("_low", "_high"))]
    figure = plot_depths(drawn_of(labels).assign(**dict.fromkeys(missing, np.nan)), labels)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "interval" not in names
    assert "accuracy of the best baseline" not in names


def test_a_curve_that_mostly_did_not_converge_is_faded_and_says_so_beside_its_row():
    labels = labels_of(2, 1)
    depths = one_variant(depths_of(labels)).assign(converged=[1.0, 0.25], mostly_converged=[True, False])
    left, right = plot_depths(depths, labels).axes
    for axis in (left, right):
        solved, unsolved = [line for line in axis.lines if line.get_marker() == "o"]
        assert unsolved.get_alpha() < solved.get_alpha()
    (text,) = right.texts
    assert text.get_text() == "25 % of probes converged"
    assert text.get_position() == (1.02, max(points(left, "o"))), "right of the axes, where no marker is"


def test_points_count_layers_in_one_way():
    """A curve with one step, at layer 5 of 12: each point is the step's layer, counted from 0."""
    settings = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95}
    found = describe_curve(np.where(np.arange(LAYERS) < 5, 0.5, 0.9), **settings)
    drawn = ({DEPTH} | set(POINTS)) & set(found)
    assert {"jump_point", "converging_point", "gain_centre"} <= drawn
    assert {found[name] for name in (*drawn, "peak_depth")} == {5 / LAYERS}


# --- Positions of the same tokens -------------------------------------------------------------------------------------


def positions_of(labels, alike):
    """Return a table of two positions that read the same tokens under the texts ``alike``."""
    last = drawn_of(labels).assign(same_tokens_as="last")
    text = drawn_of(labels).assign(position="text_last", same_tokens_as="text_last")
    same = text["perturbation"].isin(alike)
    text.loc[same, "same_tokens_as"] = "last"
    return pd.concat([last, text])


def test_positions_of_the_same_tokens_are_drawn_once_and_named_together():
    labels = labels_of(1, 1)
    left, _ = plot_depths(positions_of(labels, ["clean", "noise"]), labels).axes
    assert left.get_title("left") == "last token = last token of the text"
    assert len(points(left, "o")) == len(VARIANTS)


def test_a_position_that_reads_the_same_tokens_in_some_texts_has_points_in_the_others():
    labels = labels_of(1, 1)
    last, _, text, right = plot_depths(positions_of(labels, ["clean"]), labels).axes
    assert [axis.get_title("left") for axis in (last, text)] == ["last token", "last token of the text"]
    assert [len(points(axis, "o")) for axis in (last, text, right)] == [4, 2, 2]
    assert [said.get_text() for said in text.texts] == ["same tokens as last token"] * 2


# --- Any number of curves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_datasets", "n_models", "probed"), [(1, 1, ONE), (9, 1, ONE), (2, 3, ONE), (1, 2, FOUR)])
def test_names_of_rows_can_be_read(n_datasets, n_models, probed):
    """None lies over another one or is cut off, with one weight format and text and with four."""
    labels = labels_of(n_datasets, n_models)
    depths = depths_of(labels, probed)
    for table in (depths, one_variant(depths)):
        figure = plot_depths(table, labels)
        with mpl.rc_context(STYLE):
            figure.canvas.draw()
        for axis in figure.axes:
            boxes = [text.get_window_extent() for text in axis.get_yticklabels() if text.get_visible()]
            boxes += [text.get_window_extent() for text in axis.texts]
            boxes += [axis._left_title.get_window_extent()] if axis.get_title("left") else []
            assert not [1 for one, other in itertools.combinations(boxes, 2) if one.shrunk(1, 0.9).overlaps(other)]
            assert all(figure.bbox.padded(1).contains(*corner) for box in boxes for corner in (box.min, box.max))
