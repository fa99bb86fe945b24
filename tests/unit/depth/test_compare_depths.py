"""Formats and perturbations are compared on the draws that they share."""

import h5py
import numpy as np
import pytest
from compare_depths import compare_depths, p_no_difference
from conceptdepth.depth.estimates import IntervalSettings

SETTINGS = IntervalSettings(level=0.9, draws=400, permutations=0, seed=0, correction="bh")
ORDER = {"quantization": ["fp32", "int8"], "perturbation": ["clean", "noise"]}
SHARED = np.random.default_rng(0).normal(0.8, 0.1, 400)


@pytest.fixture
def draws(tmp_path):
    """Two formats and two perturbations whose peaks share nearly all of their noise, in the order of no run."""
    own = np.random.default_rng(1)
    with h5py.File(tmp_path / "draws.h5", "w") as file:
        for quantization in ("int8", "fp32"):
            for perturbation in ("noise", "clean"):
                names = {
                    "model": "m",
                    "quantization": quantization,
                    "dataset": "d",
                    "perturbation": perturbation,
                    "site": "s",
                    "probe": "p",
                }
                group = file.create_group("/".join(names.values()))
                group.attrs.update(names)
                shift = -0.05 * (perturbation == "noise")
                peaks = SHARED + shift + own.normal(0, 0.01, 400)
                group.create_dataset("peak_accuracy", data=peaks).attrs["value"] = 0.8 + shift
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
    """Each peak has an error of 0.1; the difference of 0.05 is found all the same."""
    table = compare_depths(draws, order=ORDER, settings=SETTINGS).set_index(["quantity", "compared"])
    noise, format_ = (table.loc[("peak_accuracy", name)].iloc[0] for name in ("perturbation", "quantization"))
    assert noise["difference"] == pytest.approx(-0.05)
    assert -0.08 < noise["low"] < -0.05 < noise["high"] < -0.02
    assert noise["p_adjusted"] < 0.05 < format_["p_adjusted"]
    assert format_["low"] < 0 < format_["high"]


def test_what_is_not_defined_has_no_p_value_and_does_not_count(draws):
    table = compare_depths(draws, order=ORDER, settings=SETTINGS)
    jumps = table[table["quantity"] == "jump_point"]
    assert jumps[["difference", "low", "high", "p", "p_adjusted"]].isna().all(axis=None)
    assert (jumps["defined"] == 0).all()


def test_p_values_are_uniform_where_there_is_no_difference():
    draw = np.random.default_rng(2)
    found = [p_no_difference(draw.normal(draw.normal(), 1, 500)) for _ in range(400)]
    np.testing.assert_allclose(np.quantile(found, [0.1, 0.25, 0.5, 0.75]), [0.1, 0.25, 0.5, 0.75], atol=0.07)
    assert p_no_difference(np.ones(99)) == 0.02
    assert p_no_difference(np.zeros(99)) == 1
    assert np.isnan(p_no_difference(np.full(9, np.nan)))


def test_without_pairs_the_table_has_only_its_columns(tmp_path):
    with h5py.File(tmp_path / "none.h5", "w") as file:
        table = compare_depths(file, order=ORDER, settings=SETTINGS)
    assert (len(table), "p_adjusted" in table) == (0, True)
