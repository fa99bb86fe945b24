"""Claims are decided by t tests over datasets, on made-up cells, on hand-made extremes and on the published numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from check_claims import check_claims, of_paper, of_run
from conceptdepth.depth.claims import Claim, Effect, as_claims, effect_of, paired, sentences, verdict
from scipy import stats

ROOT = Path(__file__).parents[3]
CLAIMS = as_claims(yaml.safe_load((ROOT / "config/claims.yaml").read_text())["claims"])
NOISE = Claim("Noise delays.", "peak_depth", "perturbation", "higher", of="noise", than="clean")
DOMAINS = {"a": "factual", "b": "factual", "c": "factual", "d": "inferential", "e": "inferential", "f": "inferential"}


def cells(depth):
    """Return two models of two sizes on six datasets; ``depth`` gives the quantity from a row."""
    rows = [
        {"model": f"m{size}", "family": "m", "parameters": size, "quantization": q, "dataset": d, "domain": domain, "perturbation": p}
        for size in (1, 7) for q in ("fp32", "int8") for d, domain in DOMAINS.items() for p in ("clean", "noise")
    ]  # fmt: skip
    draw = np.random.default_rng(0)
    return pd.DataFrame([row | {"peak_depth": depth(row) + draw.normal(0, 0.02)} for row in rows])


def test_the_effect_of_noise_is_a_t_test_of_differences_averaged_by_dataset():
    table = cells(lambda row: 0.1 * (row["perturbation"] == "noise"))
    found = effect_of(table, NOISE, level=0.9)
    pivot = table.pivot_table(index=["model", "quantization", "dataset"], columns="perturbation", values="peak_depth")
    of_datasets = (pivot["noise"] - pivot["clean"]).groupby("dataset").mean()
    reference = stats.ttest_1samp(of_datasets, 0)
    assert (found.n_datasets, found.effect, found.p) == (
        6,
        pytest.approx(of_datasets.mean()),
        pytest.approx(reference.pvalue),
    )
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval(0.9)))
    assert verdict(NOISE, found, found.p, level=0.95) == "supported"
    assert verdict(replace(NOISE, expected="lower"), found, found.p, level=0.95) == "contradicted"


def test_models_of_one_dataset_are_one_witness():
    """Ten times the models make no smaller p value."""
    table = cells(lambda row: 0.02 * (row["perturbation"] == "noise") * ("abcdef".index(row["dataset"]) - 1))
    many = pd.concat([table.assign(model=table["model"] + str(n)) for n in range(10)])
    assert effect_of(many, NOISE, level=0.95).p == pytest.approx(effect_of(table, NOISE, level=0.95).p)


def test_domains_are_compared_between_datasets():
    table = cells(lambda row: 0.2 * (row["domain"] == "inferential"))
    claim = Claim("Deeper.", "peak_depth", "domain", "higher", of="inferential", than="factual")
    found = effect_of(table, claim, level=0.95)
    means = table.groupby("dataset")["peak_depth"].mean()
    reference = stats.ttest_ind(means[list("def")], means[list("abc")], equal_var=False)
    assert (found.n_datasets, found.effect, found.p) == (
        6,
        pytest.approx(0.2, abs=0.03),
        pytest.approx(reference.pvalue),
    )


def test_sizes_are_compared_with_the_next_smaller_of_the_family():
    table = cells(lambda row: 0.05 * row["parameters"])
    more = table[table["parameters"] == 1].assign(model="m3", parameters=3, peak_depth=lambda t: t["peak_depth"] + 0.1)
    other = table.assign(family="n", model="n" + table["model"])
    claim = Claim("Earlier.", "peak_depth", "size", "lower")
    pairs = paired(pd.concat([table, more, other]), claim)
    assert len(pairs) == 24 * 2 + 24  # Of three sizes two pairs, of two one.
    found = effect_of(table, claim, level=0.95)
    assert found.effect == pytest.approx(0.3, abs=0.02)
    assert verdict(claim, found, found.p, level=0.95) == "contradicted"


@pytest.mark.parametrize("compare", ["perturbation", "quantization", "domain", "size"])
def test_a_claim_without_cells_is_undecided(compare):
    claim = Claim("?", "peak_depth", compare, "higher", of="x", than="y")
    table = cells(lambda row: 0.5)
    for given in (table[table["dataset"] == "a"], table[table["model"] == "m1"].query("perturbation == 'clean'")):
        found = effect_of(given.query("quantization == 'fp32'"), claim, level=0.95)
        assert np.isnan(found.p)
        assert verdict(claim, found, found.p, level=0.95) == "undecided"


def test_equal_means_an_interval_within_the_margin():
    claim = replace(NOISE, expected="equal", margin=0.05)
    for low, high, p, expected in (
        (-0.02, 0.04, 0.3, "supported"),
        (0.01, 0.04, 0.001, "supported"),
        (-0.02, 0.08, 0.3, "undecided"),
        (0.02, 0.12, 0.001, "contradicted"),
        (np.nan, np.nan, np.nan, "undecided"),
    ):
        assert verdict(claim, Effect(9, (low + high) / 2, low, high, p), p, level=0.95) == expected


@pytest.fixture(scope="module")
def published():
    tables = [
        pd.read_csv(ROOT / f"resources/published/{name}.csv") for name in ("site_peak_converge", "models", "datasets")
    ]
    return check_claims("published", of_paper(*tables), CLAIMS, level=0.95, correction="bh").set_index("claim")


def test_the_published_numbers_decide_some_claims_and_not_others(published):
    verdicts = published["verdict"].to_dict()
    assert verdicts["peak_rises_with_size"] == "supported"
    unpublished = ["noise_delays_convergence", "int8_delays_convergence", "bf16_does_not_delay_convergence"]
    assert published.loc[unpublished, "n_datasets"].tolist() == [0, 0, 0]
    assert set(published.loc[unpublished, "verdict"]) == {"undecided"}


def test_the_published_effect_of_size_is_that_of_the_numbers_by_hand(published):
    points = pd.read_csv(ROOT / "resources/published/site_peak_converge.csv").pivot(
        index="dataset", columns="model", values="converge_pct"
    )
    steps = [("Gemma-2B", "Gemma-7B"), ("LLaMA-7B", "LLaMA-13B"), ("Qwen-0.5B", "Qwen-1.8B"), ("Qwen-1.8B", "Qwen-4B"), ("Qwen-4B", "Qwen-7B"), ("Qwen-7B", "Qwen-14B")]  # fmt: skip
    by_hand = np.mean([points[large] - points[small] for small, large in steps]) / 100
    assert published.loc["larger_models_converge_earlier", "effect"] == pytest.approx(by_hand)


def test_a_run_has_sizes_and_domains_from_the_registries_and_one_probe():
    depths = cells(lambda row: 0.5).drop(columns=["family", "parameters", "domain"]).assign(site="mlp_input", probe="l")
    kinds = {"models": {"m1": ["m", 1], "m7": ["m", 7]}, "domains": DOMAINS}
    table = of_run(pd.concat([depths, depths.assign(probe="other")]), kinds)
    assert len(table) == len(depths)
    assert set(zip(table["model"], table["family"], table["parameters"])) == {("m1", "m", 1), ("m7", "m", 7)}
    assert set(table["domain"]) == {"factual", "inferential"}


def test_each_row_is_a_sentence(published):
    said = list(sentences(published.reset_index(), 0.95))
    assert len(said) == len(CLAIMS)
    assert any(
        "Larger models of a family know a concept better. SUPPORTED (peak_accuracy +0.0" in text for text in said
    )
    assert any(
        "16-bit weights do not make models know a concept in deeper layers. UNDECIDED (no such cells)" in text
        for text in said
    )
