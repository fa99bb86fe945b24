"""Depth definitions: curves made by hand, and the authors' published curves and converging points."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conceptdepth.depth.definitions import (
    converging_point,
    converging_point_literal,
    converging_point_published,
    describe_curve,
    gain_centre,
    held_out_peak,
    jump_point,
    near_peak_depth,
    one_se_depth,
    peak,
    variation_rate,
)

PUBLISHED = Path(__file__).parents[3] / "resources" / "published"
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


def test_converging_point_is_the_same_plateau_counted_from_0():
    assert converging_point([0.5, 0.5, 0.8, 0.81, 0.8, 0.8]) == 2 / 6
    assert converging_point([0.8, 0.8, 0.8, 0.8]) == 0
    assert converging_point([0.5, 0.6, 0.7, 0.8]) == 3 / 4
    curves = np.random.default_rng(0).choice([0.5, 0.51, 0.6], size=(200, 9))
    published, counted = converging_point_published(curves), converging_point(curves)
    inside = (counted > 1 / 9) & (counted < 8 / 9)
    np.testing.assert_allclose((published - counted)[inside], 2 / 9)


@pytest.mark.parametrize("curve", [[0.7], [[0.7], [np.nan]]], ids=["one", "two"])
def test_a_curve_of_one_layer_has_a_peak_and_no_rise(curve):
    found = describe_curve(curve, jump_ratio=1.1, plateau_band=0.03, peak_share=0.95, standard_error=[0.1])
    first = {name: np.ravel(values)[0] for name, values in found.items()}
    assert np.isnan([first["jump_point"], first["converging_point_literal"], first["gain_centre"]]).all()
    assert (first["peak_accuracy"], first["peak_depth"], first["one_se_depth"]) == (0.7, 0, 0)
    assert np.isnan([np.ravel(values)[1:] for values in found.values()]).all()


@pytest.mark.parametrize(
    "definition",
    [jump_point, converging_point, converging_point_literal, converging_point_published, near_peak_depth, gain_centre],
)
def test_of_a_curve_with_a_layer_that_is_not_known_no_definition_says_anything(definition):
    unknown, known = [0.5, 0.5, np.nan, 0.9, 0.9], [0.5, 0.5, 0.7, 0.9, 0.9]
    assert np.isnan(definition(unknown))
    np.testing.assert_array_equal(definition([unknown, known]), [np.nan, definition(known)])
    assert np.isnan(peak(unknown)).all()
    assert np.isnan(one_se_depth(unknown, np.zeros(5)))


def test_peak_is_the_first_maximum():
    assert peak([0.5, 0.9, 0.7, 0.9]) == (0.9, 1 / 4)


def test_a_probe_that_is_never_right_has_no_ratio_and_no_jump():
    depths = describe_curve([0.0, 0.0, 0.0], jump_ratio=1.1, plateau_band=0.03, peak_share=0.95)
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


# --- Estimators beside the paper's --------------------------------------------------------------------------


def test_curves_together_have_what_each_has_alone():
    curves = np.random.default_rng(0).choice([0.5, 0.51, 0.6, 0.75, 0.8], size=(50, 2, 9))
    options = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95, "standard_error": np.linspace(0, 0.05, 9)}
    together = describe_curve(curves, **options)
    for place in np.ndindex(50, 2):
        alone = describe_curve(curves[place], **options)
        # Processors differ in whether a sum over the layers of one curve runs in the order of that over many: rounding.
        np.testing.assert_allclose(
            [together[name][place] for name in alone], list(alone.values()), rtol=curves.shape[-1] * np.finfo(float).eps
        )


def test_one_standard_error_is_that_of_the_peaks_own_layer():
    assert one_se_depth([0.5, 0.7, 0.79, 0.8], [0.2, 0.2, 0.2, 0.02]) == 2 / 4
    assert one_se_depth([0.5, 0.7, 0.79, 0.8], [0, 0, 0, 0.11]) == 1 / 4
    assert one_se_depth([0.5, 0.9, 0.7], [0.1, 0.01, 0.1]) == 1 / 3


def test_near_the_peak_is_a_share_of_its_accuracy():
    assert near_peak_depth([0.5, 0.75, 0.77, 0.8]) == 2 / 4
    assert near_peak_depth([0.5, 0.75, 0.77, 0.8], share=0.9) == 1 / 4


def test_the_centre_of_gain_is_where_a_step_is_and_the_middle_of_a_ramp():
    for onset in range(1, 10):
        assert gain_centre(np.where(np.arange(10) < onset, 0.5, 0.9)) == pytest.approx(onset / 10)
    assert gain_centre(np.linspace(0.5, 1, 11)) == pytest.approx(np.mean(range(1, 11)) / 11)
    assert gain_centre([0.5, 0.9, 0.6, 0.9]) == 1 / 4  # What is lost and found again is no gain.
    assert np.isnan(gain_centre([0.8, 0.7, 0.8]))


def test_a_peak_that_is_picked_by_luck_is_not_there_on_other_statements():
    noise = np.random.default_rng(0).normal(0.5, 0.05, size=(2, 2000, 20))
    assert peak(noise[0])[0].mean() > 0.58
    assert held_out_peak(noise[0], noise[1]).mean() == pytest.approx(0.5, abs=0.005)
    assert held_out_peak([0.5, 0.9, 0.6], [0.1, 0.2, 0.3]) == 0.2


def test_of_a_curve_that_is_not_known_nothing_is():
    found = describe_curve([[0.5, np.nan, 0.9], [0.5, 0.8, 0.9]], jump_ratio=1.1, plateau_band=0.03, peak_share=0.95)
    assert np.isnan([values[0] for values in found.values()]).all()
    assert np.isfinite([values[1] for values in found.values()]).sum() == len(found) - 1  # No step of it is flat.
