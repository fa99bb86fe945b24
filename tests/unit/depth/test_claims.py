"""Claims are decided by effects over datasets and models, on hand-made extremes and on the published numbers."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from check_claims import of_paper
from conceptdepth.depth.claims import Claim, as_claims, p_of, sentences, verdict
from conceptdepth.depth.effects import Effect
from conceptdepth.depth.verdicts import check_claims, effect_on, of_run

ROOT = Path(__file__).parents[3]
CLAIMS = list(as_claims(yaml.safe_load((ROOT / "config/claims.yaml").read_text())["claims"]))
NOISE = Claim("Noise delays.", "gain_centre", "perturbation", "higher", of="noise", than="clean")
EQUAL = replace(NOISE, expected="equal", margin=0.05)


def cells(shift=0.1, spread=0.02, models=3, datasets=6, seed=0):
    """Return cells of models and datasets, clean and with noise, which moves the centre of gain by ``shift``."""
    draw = np.random.default_rng(seed)
    rows = [
        {"model": f"m{m}", "family": "m", "parameters": 2.0**m, "quantization": "fp32", "dataset": f"d{d}",
         "domain": "factual" if d % 2 else "inferential", "perturbation": p, "above_baselines": True, "site": "s", "position": "o", "probe": "l",
         "gain_centre": 0.5 + shift * (p == "noise") + draw.normal(0, spread), "peak_accuracy": 0.8}
        for m in range(models) for d in range(datasets) for p in ("clean", "noise")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def decided(claim, table, level=0.95):
    effect = effect_on(table, claim, None)
    return verdict(claim, effect, p_of(claim, effect), level=level, n_claims=1)


def test_a_direction_is_decided_by_the_sign_of_what_is_there():
    assert decided(NOISE, cells()) == "supported"
    assert decided(NOISE, cells(-0.1)) == "contradicted"
    assert decided(NOISE, cells(0.0)) == "undecided"
    assert decided(replace(NOISE, expected="lower"), cells()) == "contradicted"


def test_cells_that_agree_to_the_last_digit_decide_nothing():
    """Depths at the ceiling: a t test would say p = 0."""
    tied = cells(shift=0.1, spread=0.0)
    assert decided(NOISE, tied) == "undecided"
    ((text),) = list(sentences(check_claims("run", tied, [("a", NOISE)], level=0.95, correction="bh"), 0.95))[1:]
    assert "UNDECIDED" in text
    assert "nothing varies, which says nothing, 6 datasets, 3 models" in text


def test_only_cells_above_their_baselines_have_a_depth_to_compare():
    table = cells()
    below = table["dataset"].isin(["d0", "d1"])
    table.loc[below, "gain_centre"] = np.random.default_rng(1).random(below.sum())
    assert effect_on(table.assign(above_baselines=~below), NOISE, None).n_datasets == 4
    assert decided(NOISE, table.assign(above_baselines=~below)) == "undecided", "four are too few"
    untested = effect_on(table.assign(above_baselines=np.nan), NOISE, None)
    assert (untested.n_datasets, untested.n_models) == (0, 0)
    accuracy = replace(NOISE, quantity="peak_accuracy")
    assert effect_on(table.assign(above_baselines=False), accuracy, None).n_datasets == 6


def test_a_cells_own_uncertainty_is_a_floor(tmp_path):
    """Six datasets whose differences happen to agree, each of which is unsure by 0.2."""
    table, draw = cells(spread=0.002), np.random.default_rng(0)
    with h5py.File(tmp_path / "draws.h5", "w") as file:
        for row in table.to_dict("records"):
            names = [
                row[key] for key in ("model", "quantization", "dataset", "perturbation", "site", "position", "probe")
            ]
            group = file.create_group("/".join(names))
            group.attrs.update({"scale": 2.0, "df": 30.0})
            group.create_dataset("gain_centre", data=draw.normal(0.7, 0.1, 400)).attrs["value"] = row["gain_centre"]
        sure, unsure = effect_on(table, NOISE, None), effect_on(table, NOISE, file)
    assert unsure.effect == pytest.approx(sure.effect)
    # A difference of two has the variance of both; its mean is over three models and six datasets.
    assert unsure.error == pytest.approx(2 * 0.1 * np.sqrt(2 / 18), rel=0.1)
    assert unsure.error > 5 * sure.error


@pytest.mark.parametrize("compare", ["perturbation", "quantization", "domain", "size"])
def test_a_claim_without_cells_is_undecided(compare):
    claim = Claim("?", "gain_centre", compare, "higher", of="x", than="y")
    for given in (cells(models=1), cells(datasets=1), cells().iloc[:0], cells(models=1, datasets=1)):
        assert decided(claim, given) == "undecided"


def test_equal_means_that_a_difference_of_the_margin_is_excluded():
    for effect, error, expected in (
        (0.01, 0.01, "supported"),
        (0.03, 0.04, "undecided"),
        (0.05, 0.01, "undecided"),
        (0.10, 0.01, "contradicted"),
        (-0.10, 0.01, "contradicted"),
        (0.10, 0.04, "undecided"),
        (np.nan, np.nan, "undecided"),
    ):
        found = Effect(9, 9, effect, error, 8.0)
        assert verdict(EQUAL, found, p_of(EQUAL, found), level=0.95, n_claims=1) == expected, (effect, error)


@pytest.fixture(scope="module")
def published():
    tables = [
        pd.read_csv(ROOT / f"resources/published/{name}.csv") for name in ("site_peak_converge", "models", "datasets")
    ]
    return check_claims("published", of_paper(*tables), CLAIMS, level=0.95, correction="bh").set_index("claim")


def test_the_published_numbers_decide_some_claims_and_not_others(published):
    assert published.loc["peak_rises_with_size", "verdict"] == "supported"
    unpublished = ["noise_delays_convergence", "int8_delays_convergence", "bf16_does_not_delay_convergence"]
    assert published.loc[unpublished, "n_datasets"].tolist() == [0, 0, 0]
    assert set(published.loc[unpublished, "verdict"]) == {"undecided"}
    domains = ["inferential_is_deeper_than_factual", "inferential_is_known_worse_than_factual"]
    assert published.loc[domains, "n_datasets"].tolist() == [2, 2]
    assert set(published.loc[domains, "verdict"]) == {"undecided"}


def test_only_quantities_that_were_published_are_held_against_the_published(published):
    assert set(published["quantity"]) == {"converging_point", "peak_accuracy"}


def test_the_published_effect_of_size_is_that_of_a_regression_by_hand(published):
    """On converging points counted from 0, with an intercept for each family and each dataset."""
    points, models = (
        pd.read_csv(ROOT / f"resources/published/{name}.csv") for name in ("site_peak_converge", "models")
    )
    table = points.merge(models, on="model")
    depth = (table["converge_pct"] / 100 * table["n_layers"] - 2) / table["n_layers"]
    size = np.log2(table["billion_parameters"])
    intercepts = pd.get_dummies(table["family"] + table["dataset"]).to_numpy(dtype=float)
    by_hand = np.linalg.lstsq(np.column_stack([size, intercepts]), depth, rcond=None)[0][0]
    assert published.loc["larger_models_converge_earlier", "effect"] == pytest.approx(by_hand)


def test_a_run_has_sizes_and_domains_from_the_registries_and_one_probe():
    depths = cells().drop(columns=["family", "parameters", "domain"])
    domains = {f"d{d}": "factual" if d % 2 else "inferential" for d in range(6)}
    kinds = {"models": {f"m{m}": ["m", 2.0**m] for m in range(3)}, "domains": domains}
    table = of_run(
        pd.concat(
            [
                depths,
                depths.assign(probe="other"),
                depths.assign(position="other"),
                depths.assign(quantization="random"),
            ]
        ),
        kinds,
    )
    pd.testing.assert_frame_equal(table[cells().columns], cells())


def test_p_values_are_adjusted_among_the_claims_about_one_quantity():
    claims = [("a", NOISE), ("b", replace(NOISE, expected="lower")), ("c", replace(NOISE, quantity="peak_accuracy"))]
    table = cells(0.02).assign(peak_accuracy=lambda t: t["gain_centre"])
    checked = check_claims("run", table, claims, level=0.95, correction="by").set_index("claim")
    assert checked.loc["a", "p_adjusted"] == pytest.approx(min(1, 1.5 * checked.loc["a", "p"]))
    assert checked.loc["c", "p_adjusted"] == checked.loc["c", "p"]


def test_a_contradiction_of_equality_counts_the_claims():
    found = Effect(9, 9, 0.1, 0.018, 8.0)
    assert verdict(EQUAL, found, 1.0, level=0.95, n_claims=1) == "contradicted"
    assert verdict(EQUAL, found, 1.0, level=0.95, n_claims=10) == "undecided"


def test_a_source_without_any_of_the_quantities_has_no_rows():
    checked = check_claims("run", cells(), [("a", replace(NOISE, quantity="jump_point"))], level=0.95, correction="bh")
    assert len(checked) == 0
    assert {"p_adjusted", "verdict", "quantity"} <= set(checked)
    assert list(sentences(checked, 0.95)) == []


def test_each_claim_is_a_sentence_with_a_line_for_each_quantity(published):
    said = list(sentences(published.reset_index(), 0.95))
    assert len(said) == 2 * len(published)
    place = said.index("published: Larger models of a family know a concept better.")
    assert said[place + 1].startswith("  SUPPORTED     peak_accuracy: +0.0")
    place = said.index("published: 16-bit weights do not make models know a concept in deeper layers.")
    assert said[place + 1] == "  UNDECIDED     converging_point: no such cells"
    place = said.index("published: Inferential concepts are known in deeper layers than factual ones.")
    assert said[place + 1].endswith("too few: 2 datasets a side, 9 models, where 4 and 3 are needed")


def test_a_claim_about_zero_is_about_what_is_left_of_cells_that_have_nothing():
    table = cells(spread=0.05)
    table = table.assign(readout_gap=table["gain_centre"] - 0.4)
    own, zero = (table[table["perturbation"] == name] for name in ("noise", "clean"))
    found = effect_on(own, Claim("", "readout_gap", "zero", "higher"), None)
    assert found.effect == pytest.approx(own["readout_gap"].mean())
    beside = pd.concat([own, zero.assign(readout_gap=0.0)])
    assert found == effect_on(beside, replace(NOISE, quantity="readout_gap"), None)
    assert decided(Claim("", "readout_gap", "zero", "higher"), own) == "supported"
    assert decided(Claim("", "readout_gap", "zero", "lower"), own) == "contradicted"
