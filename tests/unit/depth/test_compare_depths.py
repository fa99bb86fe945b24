"""Formats and perturbations are compared on the draws that they share."""

import h5py
import numpy as np
import pytest
from compare_depths import compare_depths
from conceptdepth.depth.comparison import PRIMARY, compare
from conceptdepth.depth.resampling import IntervalSettings
from conceptdepth.depth.uncertainty import Design
from conceptdepth.ground.names import CURVE
from scipy import stats

SETTINGS = IntervalSettings(level=0.9, draws=400, permutations=0, seed=0, correction="bh")
ORDER = {"quantization": ["fp32", "int8"], "perturbation": ["clean", "noise"]}
SHARED = np.random.default_rng(0).normal(0.8, 0.1, 400)
DESIGN = Design(1.3, 40.0)


@pytest.fixture
def draws(tmp_path):
    """Two formats and two perturbations whose accuracies share nearly all of their noise, in the order of no run."""
    own = np.random.default_rng(1)
    with h5py.File(tmp_path / "draws.h5", "w") as file:
        for quantization in ("int8", "fp32"):
            for perturbation in ("noise", "clean"):
                names = dict(zip(CURVE, ("m", quantization, "d", perturbation, "s", "o", "p")))
                group = file.create_group("/".join(names.values()))
                group.attrs.update(
                    {**names, "scale": DESIGN.scale, "df": DESIGN.df, "above": quantization == "fp32"}
                    | {"same_tokens_as": names["position"]}
                )
                shift = -0.05 * (perturbation == "noise")
                accuracies = SHARED + shift + own.normal(0, 0.01, 400)
                for quantity in ("mean_accuracy", "gain_centre", "peak_accuracy"):
                    group.create_dataset(quantity, data=accuracies).attrs["value"] = 0.8 + shift
                group.create_dataset("jump_point", data=np.full(400, np.nan)).attrs["value"] = np.nan
        yield file


def test_each_pair_that_differs_in_one_thing_is_compared_with_the_first_of_the_run(draws):
    table = compare_depths(draws, order=ORDER, settings=SETTINGS)
    pairs = table[["compared", "first", "second", "quantization", "perturbation"]].drop_duplicates()
    assert sorted(map(tuple, pairs.to_numpy())) == [
        ("perturbation", "clean", "noise", "fp32", "noise"),
        ("perturbation", "clean", "noise", "int8", "noise"),
        ("quantization", "fp32", "int8", "int8", "clean"),
        ("quantization", "fp32", "int8", "int8", "noise"),
    ]


def test_shared_noise_cancels(draws):
    """Each accuracy has an error of 0.1; the difference of 0.05 is found all the same."""
    table = compare_depths(draws, order=ORDER, settings=SETTINGS).set_index(["quantity", "compared"])
    noise, format_ = (table.loc[("mean_accuracy", name)].iloc[0] for name in ("perturbation", "quantization"))
    assert noise["difference"] == pytest.approx(-0.05)
    reach = stats.t.ppf(0.95, 40) * 1.3 * 0.01 * np.sqrt(2)
    assert (noise["low"], noise["high"]) == pytest.approx((-0.05 - reach, -0.05 + reach), abs=0.003)
    assert noise["p_adjusted"] < 0.05 < format_["p_adjusted"]
    assert format_["low"] < 0 < format_["high"]


def test_only_primary_quantities_are_tested_and_depths_only_of_cells_above_their_baselines(draws):
    table = compare_depths(draws, order=ORDER, settings=SETTINGS)
    tested = table[table["p"].notna()]
    assert set(tested["quantity"]) == {"mean_accuracy", "gain_centre"} <= set(PRIMARY)
    assert tested["quantity"].value_counts().to_dict() == {"mean_accuracy": 4, "gain_centre": 1}
    assert set(tested.loc[tested["quantity"] == "gain_centre", "quantization"]) == {"fp32"}
    described = table[table["quantity"] == "peak_accuracy"]
    assert described["difference"].notna().all()
    assert described[["low", "high", "p", "p_adjusted"]].isna().all(axis=None)


def test_each_quantity_is_a_family_of_its_own(draws):
    table = compare_depths(draws, order=ORDER, settings=SETTINGS).set_index("quantity")
    (alone,) = table.loc["gain_centre", "p"].dropna()
    assert table.loc["gain_centre", "p_adjusted"].dropna().tolist() == [alone]
    found = table.loc["mean_accuracy"]
    assert found["p_adjusted"].to_numpy() == pytest.approx(stats.false_discovery_control(found["p"]))


def test_p_values_are_student_s_and_draws_set_no_floor():
    draw = np.random.default_rng(2)
    found = compare(0.5, 0.9, draw.normal(0, 0.02, 50), DESIGN, 0.95)
    assert found.p < 1e-12
    null = [compare(0, draw.normal(), draw.normal(0, 1, 500), Design(1.0, 1e6), 0.95).p for _ in range(400)]
    np.testing.assert_allclose(np.quantile(null, [0.1, 0.25, 0.5, 0.75]), [0.1, 0.25, 0.5, 0.75], atol=0.07)


def test_where_nothing_varies_or_nothing_is_drawn_there_is_no_verdict():
    for draws in (np.zeros(99), np.empty(0), np.full(9, np.nan)):
        found = compare(0.5, 0.6, draws, DESIGN, 0.95)
        assert found.difference == pytest.approx(0.1)
        assert np.isnan([found.low, found.high, found.p]).all()


def test_without_pairs_the_table_has_only_its_columns(tmp_path):
    with h5py.File(tmp_path / "none.h5", "w") as file:
        table = compare_depths(file, order=ORDER, settings=SETTINGS)
    assert (len(table), "p_adjusted" in table) == (0, True)
