"""A switch runs again just the stages that it touches; its effect is the difference of two runs."""

import copy

import numpy as np
import pandas as pd
import pytest
from conceptdepth.configuration.switches import ALL, STAGES, switched_cells, switches, touched, under, upstream
from conceptdepth.depth.definitions import describe_curve
from conceptdepth.ground.mappings import merged
from snakemake.utils import update_config
from tabulate_ablation import NO_SWITCH, tabulate
from whole_configuration import configuration

DEPTH = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95}


@pytest.fixture
def config():
    """The default configuration with the rigorous preset, on two datasets."""
    found = configuration("rigorous")
    found["run"] |= {"datasets": ["strategyqa", "coinflip"]}
    return found


def cell(**wildcards):
    return {
        "model": "smollm2-135m",
        "quantization": "fp32",
        "dataset": "strategyqa",
        "perturbation": "clean",
    } | wildcards


def test_merging_is_what_snakemake_does_with_overlays_and_leaves_both_as_they_were(config):
    overlay = {"probes": {"C": 2, "seeds": [1]}, "datasets": {"strategyqa": {"max_per_class": 5}}, "new": {"a": 1}}
    before, expected = copy.deepcopy((config, overlay)), copy.deepcopy(config)
    update_config(expected, overlay)
    assert merged(config, overlay) == expected
    assert (config, overlay) == before


@pytest.mark.parametrize(
    ("switch", "first"),
    [
        ("gold_reason", "datasets"),
        ("emotion_prompt", "prompts"),
        ("pairs_split", "probes"),
        ("one_split", "probes"),
        (ALL, "datasets"),
        ("no_cap", None),
        ("other_noise", None),
        ("one_prompt_a_pass", None),
    ],
)
def test_the_first_stage_that_a_switch_touches_and_all_after_it_run_again(config, switch, first):
    again = [stage for stage in STAGES if touched(config, cell(switch=switch), stage)]
    assert again == (list(STAGES[STAGES.index(first) :]) if first else [])


def test_switches_of_noise_and_of_a_weight_format_touch_their_cells_alone(config):
    assert touched(config, cell(switch="other_noise", perturbation="noise"), "prompts")
    assert touched(config, cell(switch="one_prompt_a_pass", quantization="int8"), "activations")
    assert not touched(config, cell(switch="one_prompt_a_pass", quantization="int8"), "prompts")


def test_a_template_is_of_the_prompts_and_not_of_the_statements(config):
    config["ablation"] = {
        "run": ["short"],
        "switches": {"short": {"datasets": {"strategyqa": {"template": {"cue": "So?"}}}}},
    }
    assert not touched(config, cell(switch="short"), "datasets")
    assert touched(config, cell(switch="short"), "prompts")


def test_all_is_every_switch_together_and_there_only_if_there_are_several(config):
    both = under(config, cell(switch=ALL))
    assert both["prompts"]["instruction"] == "released_code"
    assert both["probes"] == config["probes"] | {"split": "reference", "seeds": [42]}
    assert both["datasets"]["strategyqa"]["parser"]["rationale"]
    config["ablation"]["run"] = ["one_split"]
    assert list(switches(config)) == ["one_split"]
    assert under(config, cell()) is config


def test_cells_that_a_switch_does_not_touch_are_left_out(config):
    cells = switched_cells(config)
    assert len(cells) == len({tuple(found.values()) for found in cells})
    count = {name: sum(found["switch"] == name for found in cells) for name in switches(config)}
    # Of eight cells, random weights left out, StrategyQA has four, noise four, int8 four.
    assert count == {
        "emotion_prompt": 8, "pairs_split": 8, "one_split": 8, "gold_reason": 4, "no_cap": 0, "other_noise": 4,
        "one_prompt_a_pass": 4, "all": 8,
    }  # fmt: skip


def test_what_a_switch_does_not_touch_is_read_from_the_cell_itself(config):
    pattern = "results/{ablation}activations/{dataset}.h5 {ablated}"
    assert upstream(config, cell(switch="one_split"), "activations", pattern) == "results/activations/strategyqa.h5 "
    assert upstream(config, cell(switch="emotion_prompt"), "activations", pattern) == (
        "results/ablation/emotion_prompt/activations/strategyqa.h5 __ablated/emotion_prompt"
    )


def scores(rng, **names):
    """Scores of two splits of ten layers, made up."""
    return pd.DataFrame(
        {
            "model": "m", "quantization": "fp32", "dataset": "d", "perturbation": "clean", "site": "mlp_input", "position": "last",
            "probe": "p", "target": "concept", **names, "layer": layer, "n_layers": 10, "seed": seed, "n_train": 30, "n_test": 20,
            "accuracy": rng.uniform(0.4, 1), "auc": rng.uniform(0.4, 1),
        }
        for seed in (1, 2)
        for layer in range(10)
    )  # fmt: skip


def test_the_effect_of_a_switch_is_the_difference_of_its_measures_from_the_curves_own():
    rng = np.random.default_rng(0)
    own = [scores(rng, dataset=dataset) for dataset in ("d", "e")]
    switched = [scores(rng, switch=switch, dataset="e") for switch in ("one", "two")]
    table = tabulate(pd.concat(own), pd.concat(switched), DEPTH)
    assert table[["dataset", "switch"]].values.tolist() == [
        ["d", NO_SWITCH],
        ["e", NO_SWITCH],
        ["e", "one"],
        ["e", "two"],
    ]
    curves = [table.groupby("layer")["accuracy"].mean() for table in (own[1], switched[0])]
    depths = [describe_curve(curve, **DEPTH) for curve in curves]
    row = table.iloc[2]
    for measure in ("peak_accuracy", "peak_depth", "converging_point_published"):
        assert row[measure] == depths[1][measure]
        assert row[f"{measure}_change"] == pytest.approx(depths[1][measure] - depths[0][measure])
    assert row["mean_accuracy_change"] == pytest.approx(curves[1].mean() - curves[0].mean())
    assert row["n_seeds"] == 2
    changes = table.filter(like="_change")
    assert (changes[table["switch"] == NO_SWITCH].fillna(0) == 0).all(axis=None)


def test_a_depth_that_one_side_lacks_has_no_change():
    rng = np.random.default_rng(0)
    flat = scores(rng).assign(accuracy=0.5)
    table = tabulate(flat, scores(rng, switch="one"), DEPTH)
    assert table["jump_point"].isna().tolist() == [True, False]
    assert table["jump_point_change"].isna().all()
