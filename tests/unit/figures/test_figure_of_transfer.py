"""The figure of transfer shows the areas of the table, each matrix row at the layer of its own dataset."""

import numpy as np
import pytest
from figure_tables import LAYERS, depths_of, labels_of, transfer_of
from matplotlib import pyplot as plt
from plot_transfer import plot_transfer


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def labels():
    return labels_of(3, 1)


def test_rows_of_matrices_are_at_the_layers_of_the_dataset_that_was_trained_on(labels):
    table, depths = transfer_of(labels), depths_of(labels)
    own = depths["dataset"].map({"d0": 0.25, "d1": np.nan, "d2": 0.5})
    depths = depths.assign(
        first_above_baseline=own, peak_depth=depths["dataset"].map({"d0": 0.75, "d1": 0, "d2": 0.25})
    )
    held = table[(table["quantization"] == "fp32") & (table["perturbation"] == "clean")]
    areas = held.set_index(["from", "to", "layer"])["auc"]
    figure = plot_transfer(table, depths, labels)
    expected = [(3, None, 6), (6, 6, 6), (9, 0, 3)]
    for axis, layers in zip(figure.axes, expected):
        shown = axis.images[0].get_array()
        for row, (trained, layer) in enumerate(zip(labels["datasets"], layers)):
            values = [np.nan if layer is None else areas[trained, tested, layer] for tested in labels["datasets"]]
            np.testing.assert_allclose(np.ma.filled(shown[row], np.nan), values)
        written = [text.get_text() for text in axis.texts]
        assert written == ["–" if np.isnan(v) else f"{v:.2f}" for v in np.ma.filled(shown, np.nan).ravel()]
    assert [axis.get_title("left") for axis in figure.axes[:3]] == [
        "first above baselines",
        "middle layer",
        "best layer",
    ]


def test_lines_are_the_areas_of_every_layer_with_one_look_for_what_is_tested(labels):
    table = transfer_of(labels)
    figure = plot_transfer(table, depths_of(labels), labels)
    held = table[(table["quantization"] == "fp32") & (table["perturbation"] == "clean")]
    for axis, trained in zip(figure.axes[3:], labels["datasets"], strict=True):
        lines = [line for line in axis.lines if len(line.get_xdata()) == LAYERS]
        for line, tested in zip(lines, labels["datasets"], strict=True):
            rows = held[(held["from"] == trained) & (held["to"] == tested)].sort_values("layer")
            np.testing.assert_array_equal(line.get_ydata(), rows["auc"])
            np.testing.assert_allclose(line.get_xdata(), rows["layer"] / LAYERS)
        assert [line.get_color() for line in lines] == [
            line.get_color() for line in figure.legends[0].get_lines()[: len(lines)]
        ]


def test_nine_datasets_are_wrapped():
    figure = plot_transfer(transfer_of(labels_of(9, 1)), depths_of(labels_of(9, 1)), labels_of(9, 1))
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (4, 3)
    assert len(figure.axes) == 3 + 9
    assert len(figure.axes[0].get_yticklabels()) == 9
