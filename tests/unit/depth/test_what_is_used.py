"""What is said of changes along concepts: in sentences, in claims, and of a configuration that does not allow any."""

import h5py
import numpy as np
import pandas as pd
import pytest
from check_use import with_use
from collect_causal import of_one_cell, sentences
from conceptdepth.configuration.causal import why_not_causal
from conceptdepth.depth.claims import OF_USE

LABELS = {"models": {"m": {"label": "Model"}}, "datasets": {"d": {"label": "Cities"}}}
CELL = {"model": "m", "quantization": "fp32", "dataset": "d", "perturbation": "clean"}
FOUND = {
    "n_layers": 30,
    "p": 0.048,
    "onset_of_probe": 0.1,
    "causal_onset": 0.5,
    "last_effect": 0.8,
    "largest_effect": 0.059,
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "erasing it (LEACE) changes what the model answers from layer 15 to 24 of 30 (log-odds by up to 0.059, p = 0.048); a probe reads it from layer 3 on."),
        ({"last_effect": 0.5}, "at layer 15 of 30 (log-odds"),
        ({"causal_onset": np.nan, "p": 0.57}, "no more than random directions do (p = 0.57); a probe reads it from layer 3 on."),
        ({"causal_onset": np.nan}, "by too little to tell from none (p = 0.048)"),
        ({"onset_of_probe": np.nan}, "; no probe is above chance."),
    ],
)  # fmt: skip
def test_a_sentence_says_what_its_row_says(changed, said):
    rows = [{**CELL, "method": method, **FOUND, **changed} for method in ("erase", "leace")]
    (sentence,) = sentences(pd.DataFrame(rows), LABELS, 0.95)
    assert sentence.startswith("- **Cities** (Model, 32-bit float, clean): ")
    assert said in sentence


def test_depths_of_a_cell_are_those_of_planted_effects(tmp_path):
    """Four layers of six, of which the second and the third are used; eight statements in groups of two."""
    draw, layers, labels = np.random.default_rng(0), np.array([0, 2, 4, 5]), np.tile([0, 1], 4)
    own = np.array([0.0, 1.0, 3.0, 0.0])[:, np.newaxis] * (1 + 0.1 * draw.normal(size=(4, 8)))
    effects = draw.normal(scale=0.1, size=(4, 22, 8))
    effects[:, 0] = own
    effects[-1] = 0
    log_odds = draw.normal(size=8)
    with h5py.File(tmp_path / "effects.h5", "w") as file:
        file.attrs.update(CELL)
        file["log_odds"], file["mass"] = log_odds, np.full(8, 0.5)
        file["changed_log_odds"] = log_odds - effects * (2 * labels - 1)
        file["changed_mass"], file["divergence"] = np.full((4, 1, 8), 0.4), draw.random((4, 22))
        file["label"], file["layer"] = labels, layers
        words = {"id": [f"s{n}" for n in range(8)], "group": [f"g{n // 2}" for n in range(8)], "method": ["erase"] * 22}
        words["direction"] = ["concept", "shuffled", *(f"random_{n}" for n in range(1, 21))]
        for name, values in words.items():
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())
    place = {**CELL, "site": "residual", "position": "last", "probe": "mass_mean", "n_layers": 6, "onset_of_probe": 1}
    facts = [{**place, "method": "erase", "layer": layer, "completeness": layer / 10} for layer in layers]
    pd.DataFrame(facts).to_csv(tmp_path / "facts.csv", index=False)
    intervals = {"draws": 200, "seed": 0, "level": 0.95}
    (row,), table = of_one_cell(str(tmp_path / "effects.h5"), str(tmp_path / "facts.csv"), intervals)
    expected = {"causal_onset": 2 / 6, "last_effect": 4 / 6, "onset_of_probe": 1 / 6, "readout_gap": 1 / 6, "p": 1 / 21}
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert (row["readout_gap_low"], row["readout_gap_high"]) == pytest.approx((1 / 6, 1 / 6))
    assert row["largest_effect"] == pytest.approx(own[2].mean())
    assert row["largest_effect_depth"] == 4 / 6
    random = effects[:, 2:].mean(axis=(1, 2))
    assert row["effect_where_readable"] == pytest.approx((own.mean(axis=1) - random)[1:].mean())
    assert table["has_effect"].tolist() == [False, True, True, False]
    np.testing.assert_allclose(table["effect"], own.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(table["effect_shuffled"], effects[:, 1].mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(table["mass_change"], -0.1)
    assert table["completeness"].tolist() == [0.0, 0.2, 0.4, 0.5]


def test_what_is_used_stands_beside_the_depths_of_its_cell():
    depths = pd.DataFrame([{**CELL, "gain_centre": 0.4}, {**CELL, "dataset": "e", "gain_centre": 0.6}])
    use = {"causal_onset": 0.5, "readout_gap": 0.4, "effect_where_readable": 0.02, "onset_of_probe": 0.1}
    causal = pd.DataFrame([{**CELL, "method": "erase", **use, "readout_gap": 9.0}, {**CELL, "method": "leace", **use}])
    lens = pd.DataFrame([{**CELL, "first_auc_above_chance": 0.9}])
    ends = [
        ("dataset", "e", "d", 0.8),
        ("dataset", "f", "d", 0.6),
        ("dataset", "d", "d", 1.0),
        ("layer", "1", "2", 0.0),
    ]
    transfer = pd.DataFrame([{**CELL, **dict(zip(("transferred", "from", "to", "auc"), each))} for each in ends])
    found = with_use(depths, causal, lens, transfer)
    first, second = (found.loc[number, list(OF_USE)].astype(float) for number in range(2))
    expected = {
        "causal_onset": 0.5,
        "readout_gap": 0.4,
        "effect_where_readable": 0.02,
        "lens_depth": 0.9,
        "lens_gap": 0.8,
    }
    assert first.to_dict() == pytest.approx(expected | {"transfer": 0.2})
    assert second.isna().all()
    assert "transfer" not in with_use(depths, causal, lens, None)


CONFIG = {
    "activations": {"sites": ["residual"], "positions": ["last"]},
    "causal": {"position": "last", "probe": None, "random_directions": 20},
    "probes": {"kinds": ["mlp", "mass_mean"]},
    "intervals": {"draws": 1000, "permutations": 1000, "level": 0.95},
}


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("activations", "sites", ["mlp_input"], "needs residual in activations.sites"),
        ("causal", "position", "text_mean", "needs text_mean in activations.positions"),
        ("causal", "probe", "ridge", "needs ridge in probes.kinds"),
        ("probes", "kinds", ["mlp"], "needs logistic_regression or mass_mean or ridge in probes.kinds"),
        ("intervals", "draws", 1, "needs intervals.draws and intervals.permutations"),
        ("intervals", "permutations", 0, "needs intervals.draws and intervals.permutations"),
        ("intervals", "level", 0.99, "of 20 no p value is below 0.048, where intervals.level asks for 0.01; set more."),
    ],
)
def test_what_cannot_be_found_is_said_before_a_run(section, key, value, said):
    assert why_not_causal(CONFIG) is None
    assert said in why_not_causal(CONFIG | {section: CONFIG[section] | {key: value}})
