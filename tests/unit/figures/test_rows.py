"""Rows with names: how much room they take does not depend on where in memory their ticks lie."""

import numpy as np
import pytest
from conceptdepth.figures.rows import name_rows
from figure_tables import FIGURES, ONE, labels_of
from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_any_tick_of_an_axis_measures_the_room_of_all():
    """Matplotlib takes the first of a set, which is another one in each process."""
    _, axes = plt.subplots(1, 2, sharey=True)
    name_rows(axes, {1: "a row", 2: "another"}, {0: ("a head", "black")})
    for axis in axes:
        *rows, head = axis.yaxis.get_major_ticks()
        assert {tick.tick1line.get_visible() for tick in (*rows, head)} == {True}
        assert head.tick1line.get_markersize() == 0 < rows[0].tick1line.get_markersize()


@pytest.mark.parametrize("name", ["depths", "positions"])
def test_the_same_figure_made_again_has_the_same_layout(name):
    def places():
        figure = FIGURES[name](labels_of(2, 2), ONE)
        figure.draw_without_rendering()
        return np.array([axis.get_position().bounds for axis in figure.axes])

    first = places()
    assert all(np.array_equal(places(), first) for _ in range(8))
