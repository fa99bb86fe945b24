"""Costs are those of closed forms computed by hand, and what is not known is not guessed."""

import math
from dataclasses import asdict

import pytest
from conceptdepth.configuration.assumptions import Assumptions
from conceptdepth.configuration.causal_costs import causal_costs
from conceptdepth.configuration.costs import (
    Texts,
    Tokens,
    cost,
    counted_tokens,
    estimated_tokens,
    expected_texts,
    extraction_memory_mb,
    extraction_time,
    gpu_hours,
    memory_mb,
    rendered_texts,
    statement_bytes,
    total,
)
from conceptdepth.datasets.prompts import render
from conceptdepth.ground.names import RANDOM, RERUN
from conceptdepth.models.formats import QUANTIZATIONS

BILLION = {"parameters": 10**9, "layers": 10, "d_model": 100}
CONFIG = {
    "models": {"big": BILLION, "shapeless": {"parameters": 10**9}},
    "activations": {"sites": ["mlp_input", "residual"], "positions": ["last"]},
    "execution": {"device": "auto", "keep_model_loaded": True},
    "run": {"quantizations": ["bf16", "int8"]},
}
CELL = (Texts(statements=50, characters=4000, distinct=3000), Tokens(1000, 800, exact=True))
PLAIN = Assumptions(teraflops_fp32=10, teraflops=100, share=0.5, read_gb_per_second=2)


def test_rendered_prompts_share_their_beginnings():
    # abc, abd and x: 7 characters, of which the second `ab` is not computed again.
    assert rendered_texts(["abd", "x", "abc"]) == Texts(3, 7, 5)
    assert rendered_texts(["one"]) == Texts(1, 3, 3)
    assert rendered_texts(["same", "same"]) == Texts(2, 8, 4)


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [
        ({"layout": "prompt_first", "prompt": "Judge."}, len("Judge. "), 0),
        ({"layout": "text_first", "prompt": "Judge."}, 0, len(" Judge.")),
        ({"layout": "text_between", "prompt": "Q: ", "cue": "A:"}, len("Q: "), len(" A:")),
    ],
)
def test_expected_texts_share_what_stands_before_them(template, before, after):
    dataset = {"size": {"statements": 100, "characters": 20.5}, "template": template}
    clean = expected_texts(dataset, {"prepend": []})
    assert clean == Texts(100, 100 * (before + 20.5 + after), before + 100 * (20.5 + after))
    noise = expected_texts(dataset, {"prepend": ["aaa", "b"], "seed": 0})
    assert noise == Texts(100, 100 * (before + 2 + 20.5 + after), before + 100 * (2 + 20.5 + after))


def test_expected_texts_are_as_long_as_rendered_ones():
    template = {"layout": "text_between", "prompt": "Q: ", "cue": "A:"}
    texts = ["some words", "words", "more"]
    rows = [
        render({"id": str(n), "text": text, "label": 0, "group": n}, template, {"prepend": []})
        for n, text in enumerate(texts)
    ]
    size = {"statements": len(texts), "characters": sum(map(len, texts)) / len(texts)}
    expected = expected_texts({"size": size, "template": template}, {"prepend": []})
    assert expected.characters == rendered_texts([row["prompt"] for row in rows]).characters


@pytest.mark.parametrize(
    ("counts", "cap", "expected"),
    [
        ([12063, 4321], 3000, 6000),
        ([12063, 4321], 10000, 14321),
        ([12063, 4321], None, 16384),
        ([12063, 4321], 1, 2),
        (401, 200, 400),
        (401, 201, 401),
        (401, None, 401),
    ],
)
def test_expected_texts_are_as_many_as_the_cap_leaves(counts, cap, expected):
    dataset = {"size": {"statements": counts, "characters": 10}, "template": {"layout": "text_first", "prompt": "?"}}
    texts = expected_texts(dataset | {"max_per_class": cap}, {"prepend": []})
    assert (texts.statements, texts.characters) == (expected, expected * len(" ?") + expected * 10)
    if cap is None:
        assert expected_texts(dataset, {"prepend": []}) == texts


def test_a_dataset_without_a_size_is_unknown():
    assert expected_texts({"template": {"layout": "text_first", "prompt": "?"}}, {"prepend": []}) is None


def test_tokens_are_estimated_from_characters_or_counted():
    assert estimated_tokens(CELL[0], 4) == Tokens(1000, 750, exact=False)
    # A common beginning of two tokens once, then a tree: 3 4, 3 5 shares the 3, and 6.
    assert counted_tokens([[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 6]]) == Tokens(11, 6, exact=True)


def test_the_cost_of_a_model_in_a_weight_format():
    row = cost(CONFIG, "big", "bf16", [CELL, CELL], PLAIN)
    assert (row.cells, row.unknown_cells, row.loads) == (2, 0, 1)
    assert row.weights_bytes == 2 * 10**9
    assert row.memory_mb == memory_mb(10**9, "bf16")
    assert (row.statements, row.characters, row.tokens_in_prompts, row.tokens_computed) == (100, 8000, 2000, 1600)
    assert row.activation_bytes == (2 * 10 + 1) * 100 * 100 * 4  # sites, layers, embedding, statements, width, bytes
    assert row.statement_bytes == (2 * 10 + 1) * 100 * 4
    positions = {"positions": ["last", "text_mean", "span_mean"]}
    assert cost(
        CONFIG | {"activations": CONFIG["activations"] | positions}, "big", "bf16", [CELL], PLAIN
    ).statement_bytes == (3 * row.statement_bytes)
    # 2 x 10^9 x 1600 operations at 50 TFLOP/s, and 4 GB at 2 GB/s.
    assert row.gpu_hours == pytest.approx((0.064 + 2) / 3600)


def test_fp32_has_its_own_peak_and_every_load_is_counted():
    assert gpu_hours(10**9, "fp32", 1600, 3, PLAIN) == pytest.approx((0.64 + 3 * 2) / 3600)
    cold = CONFIG | {"execution": {"device": "auto", "keep_model_loaded": False}}
    assert cost(cold, "big", "bf16", [CELL, CELL], PLAIN).loads == 2


def asked(quantization: str, **execution) -> int:
    """Return the MB that a job of a model of 10^9 parameters asks for."""
    return extraction_memory_mb(CONFIG | {"execution": execution}, "big", quantization, dataset="any")


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_job_that_may_run_on_a_processor_asks_for_all_weights_and_what_they_are_made_of(device):
    wanted = {"fp32": 5200, "bf16": 3200, "int8": 6200, "nf4": 6200, "native": 5200, RERUN: 3200, RANDOM: 5200}
    assert {name: asked(name, device=device) for name in wanted} == wanted


def test_a_job_on_a_gpu_asks_its_host_for_no_more_than_the_file_that_is_read():
    """A model of 6.74 x 10^9 parameters, a file of 13.5 GB, took 14 GB on a GPU in any format."""
    wanted = dict.fromkeys((*QUANTIZATIONS, RERUN), 2500 + 2000) | {RANDOM: 2500 + 4000}
    assert {name: asked(name, device="cuda") for name in wanted} == wanted


@pytest.mark.parametrize("quantization", [*QUANTIZATIONS, RANDOM])
def test_weights_that_may_be_left_to_the_processor_count(quantization):
    limits = {"0": "20GiB"}
    assert asked(quantization, device="cuda", max_memory=limits) == asked(quantization, device="cpu")


@pytest.mark.parametrize("quantization", [*QUANTIZATIONS, RANDOM])
def test_every_weight_format_has_a_cost(quantization):
    assert 0 < cost(CONFIG, "big", quantization, [CELL], PLAIN).weights_bytes <= 4 * 10**9


def test_a_rerun_costs_what_its_weight_format_costs():
    first, again = (asdict(cost(CONFIG, "big", name, [CELL], PLAIN)) for name in ("bf16", RERUN))
    assert first | {"quantization": RERUN} == again


def test_what_is_unknown_stays_unknown():
    nothing = cost(CONFIG, "big", "fp32", [None, None], PLAIN)
    assert (nothing.unknown_cells, nothing.activation_bytes, nothing.gpu_hours) == (2, None, None)
    half = cost(CONFIG, "big", "fp32", [CELL, None], PLAIN)
    assert (half.cells, half.unknown_cells, half.statements) == (2, 1, 50)
    shapeless = cost(CONFIG, "shapeless", "fp32", [CELL], PLAIN)
    assert shapeless.activation_bytes is statement_bytes({"parameters": 1, "layers": 3}, 1, 1) is None
    assert shapeless.gpu_hours is not None
    assert not cost(CONFIG, "big", "fp32", [CELL, (CELL[0], Tokens(1, 1, exact=False))], PLAIN).tokens_exact
    assert total([1, None, 2]) == (3, False)
    assert total([1, 2]) == (3, True)


def test_the_time_asked_for_is_a_base_and_a_multiple_of_what_is_expected():
    template = {"layout": "text_first", "prompt": "Judge."}
    sized = {"size": {"statements": 10**6, "characters": 100}, "template": template}
    config = CONFIG | {
        "datasets": {"sized": sized, "unknown": {"template": template}},
        "perturbations": {"clean": {"prepend": []}},
    }
    assert extraction_time(config, "big", "fp32", "unknown", "clean") == 120
    tokens = 10**6 * (100 + len(" Judge.")) / 3.9
    seconds = 2 * 10**9 * tokens / (0.3 * 19.5e12) + 4 * 10**9 / 10**9
    assert extraction_time(config, "big", "fp32", "sized", "clean", switch="any") == 5 + math.ceil(3 * seconds / 60)
    assert extraction_time(config, "big", "bf16", "sized", "clean") < extraction_time(
        config, "big", "fp32", "sized", "clean"
    )


def test_changes_along_concepts_cost_the_blocks_above_them():
    config = {
        "causal": {"methods": ["leace", "add"], "random_directions": 20, "statements": 8, "every": 4},
        "answers": {"cue": "Answer:"},
        "models": CONFIG["models"],
    }
    cells = [{"model": "big"}, {"model": "big"}, {"model": "shapeless"}]
    big, shapeless = causal_costs(config, cells, Assumptions(characters_per_token=4))
    assert (big.cells, big.statements, big.changes, big.layers) == (2, 8, 22 + 22 + 2, 4 + 3)
    # Layers 0, 4, 8 and 9 have 9, 5, 1 and 0 of 10 blocks above them; the cue, with its line feed, is two tokens.
    assert big.tokens == pytest.approx(2 * 8 * 46 * (1 + 2) * 7 * (9 + 5 + 1 + 0) / 4 / 10)
    assert (shapeless.cells, shapeless.layers, shapeless.tokens) == (1, None, None)
