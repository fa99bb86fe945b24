"""Depth definitions: curves made by hand, and the authors' published curves and converging points."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conceptdepth.depth import (
    converging_point_literal,
    converging_point_published,
    describe_curve,
    jump_point,
    peak,
    variation_rate,
)

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"
"""Numbers published by Jin et al. on the site of arXiv 2404.07066: three 7B models, nine datasets."""


def test_variation_rate_is_the_ratio_of_neighbours():
    np.testing.assert_allclose(variation_rate([0.5, 0.6, 0.3]), [1.2, 0.5])


def test_jump_is_the_first_rise_of_a_tenth():
    assert jump_point([0.5, 0.5, 0.6, 0.8]) == 2 / 4
    assert jump_point([0.5, 0.55, 0.6, 0.6]) == 1 / 4  # exactly 1.1 counts


def test_a_curve_without_a_jump_has_none():
    assert np.isnan(jump_point([0.5, 0.52, 0.54]))
    assert np.isnan(jump_point([0.9, 0.5, 0.5]))


def test_literal_converging_point_is_the_last_flat_step():
    assert converging_point_literal([0.5, 0.8, 0.81, 0.82]) == 3 / 4
    assert converging_point_literal([0.5, 0.51, 0.8, 0.9]) == 1 / 4
    assert np.isnan(converging_point_literal([0.5, 0.6, 0.7]))


def test_published_converging_point_is_the_first_layer_of_the_final_plateau():
    # The step to the third layer is the last steep one, so the plateau starts at the fourth.
    assert converging_point_published([0.5, 0.5, 0.8, 0.81, 0.8, 0.8]) == 4 / 6
    # Never earlier than the third layer, never later than the last.
    assert converging_point_published([0.8, 0.8, 0.8, 0.8]) == 3 / 4
    assert converging_point_published([0.5, 0.6, 0.7, 0.8]) == 4 / 4


def test_peak_is_the_first_maximum():
    assert peak([0.5, 0.9, 0.7, 0.9]) == (0.9, 1 / 4)


def test_a_probe_that_is_never_right_has_no_ratio_and_no_jump():
    depths = describe_curve([0.0, 0.0, 0.0], jump_ratio=1.1, plateau_band=0.03)
    assert np.isnan(depths["jump_point"])
    assert np.isnan(depths["converging_point_literal"])


def published_cells() -> list[tuple[str, str]]:
    peaks = pd.read_csv(PUBLISHED / "site_peak_converge.csv")
    curves = pd.read_csv(PUBLISHED / "site_curves_7B.csv")
    return sorted(set(zip(curves["model"], curves["dataset"])) & set(zip(peaks["model"], peaks["dataset"])))


def curve_of(model: str, dataset: str) -> pd.Series:
    curves = pd.read_csv(PUBLISHED / "site_curves_7B.csv")
    cell = curves[(curves["model"] == model) & (curves["dataset"] == dataset)]
    return cell.sort_values("layer_0based")["accuracy"]


def test_there_are_27_published_curves():
    assert len(published_cells()) == 27


@pytest.mark.parametrize(("model", "dataset"), published_cells())
def test_published_curve_gives_published_depth_and_peak(model, dataset):
    table = pd.read_csv(PUBLISHED / "site_peak_converge.csv").set_index(["model", "dataset"])
    expected = table.loc[(model, dataset)]
    curve = curve_of(model, dataset)
    assert 100 * converging_point_published(curve) == pytest.approx(expected["converge_pct"], abs=1e-3)
    assert 100 * peak(curve)[0] == pytest.approx(expected["peak_acc_pct"], abs=1e-3)


def test_printed_formula_matches_1_of_27_and_17_have_no_jump():
    table = pd.read_csv(PUBLISHED / "site_peak_converge.csv").set_index(["model", "dataset"])
    curves = {cell: curve_of(*cell) for cell in published_cells()}
    literal = [
        100 * converging_point_literal(curve) == pytest.approx(table.loc[cell, "converge_pct"], abs=1e-3)
        for cell, curve in curves.items()
    ]
    assert sum(literal) == 1
    assert sum(np.isnan(jump_point(curve)) for curve in curves.values()) == 17
