"""The self-test finds what would be wrong, says where and by how much, and is made once a load and around limits."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers as hf
from architectures import SIZES, built, configuration
from conceptdepth.activations import tested
from conceptdepth.activations.collector import Collector
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.forward import PrefixLayer
from conceptdepth.activations.layouts import EqualLengths, Trees, parts
from conceptdepth.activations.packing import Row, common_prefix, everywhere
from conceptdepth.activations.plain import relative
from conceptdepth.activations.self_test import SHARED, self_test
from conceptdepth.activations.tested import TEXTS, long_prompts, self_tested
from conceptdepth.ground.errors import UserError
from conceptdepth.models.fetch import fetch_model
from conceptdepth.models.limits import long_factors, most_tokens, reading_limits
from conceptdepth.models.loaded import LoadedModel, ModelRequest
from conceptdepth.models.sites import decoder_of
from plain_passes import one_by_one, prompts
from tiny_model import save_checkpoint

SITES = ["mlp_input", "residual"]


def of_kind(kind: str, tokens: list[list[int]] | None = None, **settings):
    model = built(configuration(kind))
    settings = {"quantization": "fp32", "batch_tokens": 70, "name": "tiny"} | settings
    return self_test(model, decoder_of(model, "tiny"), tokens or prompts(3), **settings)


def test_a_mask_that_shows_too_much_is_found_out_and_whole_prompts_are_taken(monkeypatch, caplog):
    monkeypatch.setattr(Row, "ancestors", lambda row: np.tri(len(row.tokens), dtype=bool))
    with caplog.at_level(logging.INFO):
        done = of_kind("llama")
    assert done.layout == EqualLengths()
    assert "tiny, laid out as prefix trees, fails its self-test by" in caplog.text
    assert "self-test of tiny passed: prompts of equal length, differences up to" in caplog.text


def test_windows_that_are_forgotten_are_found_out(monkeypatch):
    monkeypatch.setattr("conceptdepth.activations.forward.within", lambda window: everywhere)
    assert of_kind("mistral").layout == EqualLengths()


def test_vectors_that_no_layout_gets_right_are_an_error_with_site_layer_and_number(monkeypatch):
    """Two layers of one site are off by a thousandth."""
    right = Collector.run

    def off(self, batch, cache):
        found = right(self, batch, cache)
        found["mlp_input"] = found["mlp_input"] * np.array([1, 1, 1.001, 1.0005], np.float32)[:, None, None]
        return found

    monkeypatch.setattr(Collector, "run", off)
    with pytest.raises(UserError) as told:
        of_kind("llama")
    assert str(told.value) == (
        "models.tiny: what would be stored is not what the plain model computes: at mlp_input of layer 2 it differs by "
        "0.001 of the vector's length, where rounding of fp32 explains 0.0001."
    )


def test_hidden_states_that_are_others_than_the_blocks_outputs_are_an_error():
    """A stand-in for an architecture that adds something behind each block."""
    model = built(configuration("llama"))
    body = decoder_of(model, "tiny")
    right = model.forward

    def forward(*arguments, **named):
        output = right(*arguments, **named)
        if output.hidden_states is not None:
            output.hidden_states = tuple(states + 1 for states in output.hidden_states)
        return output

    model.forward = forward
    with pytest.raises(
        UserError, match="the outputs of its blocks are not what transformers gives as its hidden states"
    ):
        self_test(model, body, prompts(), quantization="fp32", batch_tokens=70, name="tiny")


def test_facts_are_the_largest_difference_of_each_layer():
    done = of_kind("llama")
    facts = done.facts(["residual"])
    assert facts["layout"] == "prefix trees"
    assert facts["tolerance"] == 1e-4
    assert list(facts["largest_difference"]) == ["residual"]
    np.testing.assert_allclose(facts["largest_difference"]["residual"], done.differences["residual"], rtol=0.05)


def test_two_tests_are_joined_to_the_larger_differences_and_the_layout_that_both_pass():
    one, other = of_kind("llama"), of_kind("llama", prompts(17))
    joined = one.joined(other)
    assert joined.layout == Trees()
    for site, found in joined.differences.items():
        np.testing.assert_array_equal(found, np.maximum(one.differences[site], other.differences[site]))
    whole = replace(other, layout=EqualLengths())
    assert one.joined(whole).layout == whole.joined(one).layout == EqualLengths()


LIMIT = 24
"""Tokens beyond which the model of the next tests turns by its long factors."""


def longrope() -> hf.PreTrainedModel:
    factors = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [1.5, 4.0, 16.0, 40.0]}
    keys = {key: SIZES[key] for key in SIZES if key in hf.Phi3Config.__dataclass_fields__} | {"sliding_window": None}
    return built(hf.Phi3Config(**keys, original_max_position_embeddings=LIMIT, rope_scaling=factors))


AROUND = [[*prompt, *tail] for prompt in prompts(12) for tail in ([], [5, 6, 7], [8] * 9)]
"""Prompts of 13 to 48 tokens, which all share twelve."""


def read(body, tokens, **settings):
    n_layers, d_model = shape(body, "tiny")
    found = {site: np.full((n_layers, len(tokens), d_model), np.nan, np.float32) for site in SITES}
    extract(body, tokens, into=found, name="tiny", **{"batch_tokens": 200} | settings)
    return found


def largest(found, expected) -> float:
    return max(
        (np.linalg.norm(found[site] - expected[site], axis=2) / np.linalg.norm(expected[site], axis=2)).max()
        for site in SITES
    )


@pytest.mark.parametrize(
    "tokens", [AROUND, [p for p in AROUND if len(p) > LIMIT], [p for p in AROUND if len(p) <= LIMIT]]
)
def test_long_context_factors_turn_every_prompt_as_if_it_were_alone(tokens):
    body = decoder_of(longrope(), "tiny")
    assert long_factors(body.config) == LIMIT
    assert largest(read(body, tokens), one_by_one(body, tokens, SITES)) < 1e-5


def test_without_that_care_long_context_factors_are_wrong(monkeypatch):
    """What the test above can see: a shared prefix, and short prompts beside long ones, turned by the wrong factors."""
    body = decoder_of(longrope(), "tiny")
    monkeypatch.setattr(
        "conceptdepth.activations.extraction.parts", lambda layout, body, tokens: [(Trees(), np.arange(len(tokens)))]
    )
    assert largest(read(body, AROUND), one_by_one(body, AROUND, SITES)) > 0.01


def test_a_prompt_that_goes_on_beyond_the_limit_is_no_sign_of_looking_ahead():
    """Its tokens turn otherwise then, as the model means it."""
    model = longrope()
    tokens = [[5] * LIMIT, [5] * (LIMIT + 1), [5] * (LIMIT + 2)]
    done = self_test(model, decoder_of(model, "tiny"), tokens, quantization="fp32", batch_tokens=200, name="tiny")
    assert max(values.max() for values in done.differences.values()) < 1e-5


def test_prompts_on_both_sides_of_the_limit_share_no_pass():
    body = decoder_of(longrope(), "tiny")
    (short, few), (long, many) = parts(Trees(), body, AROUND)
    assert max(len(AROUND[n]) for n in few) <= LIMIT < min(len(AROUND[n]) for n in many)
    assert sorted([*few, *many]) == list(range(len(AROUND)))
    assert (short, long) == (Trees(), Trees(with_prefix=False))


def test_factors_that_grow_with_the_longest_pass_limit_prompts():
    rotary = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4, "original_max_position_embeddings": 32}
    config = hf.LlamaConfig(max_position_embeddings=64, rope_parameters=rotary)
    assert most_tokens(config) == 32
    assert most_tokens(hf.LlamaConfig(max_position_embeddings=64)) == 64
    assert most_tokens(hf.MambaConfig()) is None


def test_long_prompts_are_those_next_to_limits_and_the_longest():
    tokens = [[n] * n for n in (3, 9, 5, 7, 12)]
    assert [len(prompt) for prompt in long_prompts([6, 10], tokens)] == [5, 7, 12, 9]
    assert long_prompts([12], tokens) == []
    assert [len(prompt) for prompt in long_prompts([2], tokens)] == [3, 12]
    assert [len(prompt) for prompt in long_prompts([], [*tokens, [1] * 128])] == []
    assert [len(prompt) for prompt in long_prompts([], [*tokens, [1] * 129])] == [129]


@pytest.fixture
def loaded(tmp_path):
    """A function that loads a saved model as a job does."""

    def load(model: hf.PreTrainedModel) -> LoadedModel:
        folder = save_checkpoint(tmp_path / "model", model)
        fetch_model("tiny", {"path": str(folder)}, tmp_path / "model.json", None)
        found = LoadedModel()
        found.load(ModelRequest(model=str(tmp_path / "model.json"), name="tiny", quantization="fp32", device="cpu"))
        return found

    return load


def counted(monkeypatch) -> list[int]:
    """Count what is tested: the number of prompts of each self-test."""
    told: list[int] = []

    def count(causal, body, tokens, **settings):
        told.append(len(tokens))
        return self_test(causal, body, tokens, **settings)

    monkeypatch.setattr(tested, "self_test", count)
    return told


def test_one_self_test_serves_all_cells_of_a_load(loaded, monkeypatch):
    model, told = loaded(built(configuration("llama"))), counted(monkeypatch)
    first = self_tested(model, [[3, 4, 5]], sites=SITES, batch_tokens=64)
    assert self_tested(model, [[6] * 40], sites=SITES, batch_tokens=64) is first
    assert len(told) == 1
    assert told[0] >= len(TEXTS)


def test_a_cell_beyond_a_window_is_tested_with_its_own_prompts(loaded, monkeypatch, caplog):
    config = configuration("mistral")
    config.sliding_window = 30
    model, told = loaded(built(config)), counted(monkeypatch)
    assert reading_limits(config) == [30]
    with caplog.at_level(logging.INFO):
        self_tested(model, [[3] * 29, [4] * 31, [5] * 40], sites=SITES, batch_tokens=64)
        self_tested(model, [[3] * 30], sites=SITES, batch_tokens=64)
    assert told == [told[0], 3]
    assert "there are long prompts; testing 3 of them" in caplog.text


def test_a_site_that_the_model_does_not_have_ends_the_cell(loaded):
    model = loaded(built(configuration("phi")))
    with pytest.raises(UserError, match="tiny has no mlp_input, because its blocks run attention and MLP side by side"):
        self_tested(model, [[3, 4]], sites=SITES, batch_tokens=64)
    assert self_tested(model, [[3, 4]], sites=["residual"], batch_tokens=64).no_mlp_input


@pytest.mark.parametrize(("make", "shared"), [(lambda: built(configuration("llama")), True), (longrope, False)])
def test_passes_that_would_change_the_models_factors_are_made_one_after_another(loaded, make, shared):
    model, inside = loaded(make()), threading.Event()

    def other():
        with model.passes():
            inside.set()

    with ThreadPoolExecutor(1) as pool:
        with model.passes():
            waiting = pool.submit(other)
            assert inside.wait(0.3) == shared
        waiting.result(timeout=5)


def test_a_cell_is_read_as_its_long_prompts_need_it(loaded, monkeypatch):
    """Windows that are forgotten do not show in the fixed texts, which are shorter."""
    config = configuration("mistral")
    config.sliding_window = 30
    model = loaded(built(config))
    monkeypatch.setattr("conceptdepth.activations.forward.within", lambda window: everywhere)
    tokens = [[3] * 29, list(range(3, 60)), list(range(4, 64))]
    done = self_tested(model, tokens, sites=SITES, batch_tokens=200)
    assert done.layout == EqualLengths()
    assert largest(read(model.body, tokens), one_by_one(model.body, tokens, SITES)) > 0.01, "trees are wrong here"
    found = read(model.body, tokens, layout=done.layout)
    assert largest(found, one_by_one(model.body, tokens, SITES)) < 1e-5
    assert self_tested(model, tokens[:1], sites=SITES, batch_tokens=200).layout == Trees(), "others stay as they are"


def test_a_prefix_that_is_kept_wrong_is_found_out(loaded, monkeypatch):
    """By the fixed texts, whether or not the tokenizer begins each with the same token."""
    right = PrefixLayer.update

    def wrong(layer, keys, values, *arguments, **named):
        kept, found = right(layer, keys, values, *arguments, **named)
        found = found.clone()
        found[:, :, : -values.shape[2]] = 0
        return kept, found

    monkeypatch.setattr(PrefixLayer, "update", wrong)
    done = self_tested(loaded(built(configuration("llama"))), [[3]], sites=SITES, batch_tokens=64)
    assert done.layout == EqualLengths()


class SequenceFirst(torch.nn.Module):
    """A stand-in for blocks that hand on (sequence, batch, width), as some models with code of their own do."""

    def __init__(self, block):
        super().__init__()
        self.block, self.mlp = block, block.mlp

    def forward(self, states, *arguments, **named):
        return self.block(states.transpose(0, 1), *arguments, **named).transpose(0, 1)


def test_blocks_that_hand_on_another_order_of_axes_are_refused(loaded):
    model = loaded(built(configuration("llama")))
    body = model.body
    body.layers = torch.nn.ModuleList(SequenceFirst(block) for block in body.layers)
    right = body.embed_tokens.forward
    body.embed_tokens.forward = lambda ids: right(ids).transpose(0, 1)
    body.norm = torch.nn.Identity()
    with pytest.raises(UserError, match=r"its blocks hand on \(\d+, 1, 32\) values for 1 x \d+ tokens of width 32"):
        self_tested(model, [[3]], sites=["residual"], batch_tokens=64)


def test_values_that_overflow_in_trees_alone_are_read_as_whole_prompts(monkeypatch):
    monkeypatch.setattr(
        "conceptdepth.activations.forward._additive",
        lambda visible, dtype, device: torch.full((len(visible), 1, *visible.shape[1:]), float("nan")),
    )
    assert of_kind("llama").layout == EqualLengths()


def test_a_model_of_one_layer_is_tested_too():
    config = configuration("llama")
    config.num_hidden_layers = 1
    model = built(config)
    done = self_test(model, decoder_of(model, "tiny"), prompts(3), quantization="fp32", batch_tokens=70, name="tiny")
    assert done.differences["residual"].shape == (1,)
    assert done.differences["residual"] < 1e-5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_no_agreement(bad):
    fine, spoiled = np.ones((2, 3), np.float32), np.array([[1, 1, 1], [1, bad, 1]], np.float32)
    assert relative(fine, fine).tolist() == [0, 0]
    for found, expected in ((fine, spoiled), (spoiled, fine), (spoiled, spoiled)):
        assert relative(found, expected).tolist() == [0, np.inf]
    assert relative(np.zeros(3, np.float32), np.zeros(3, np.float32)) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_whose_values_overflow_is_refused_for_that(bad):
    model = built(configuration("llama"))
    model.model.layers[2].mlp.down_proj.weight.data[5, 7] = bad
    with pytest.raises(
        UserError, match=r"tiny: a text of \d+ tokens gives values that are no finite numbers, in the plain"
    ):
        self_test(model, decoder_of(model, "tiny"), prompts(), quantization="fp32", batch_tokens=70, name="tiny")


@pytest.mark.parametrize("kind", ["mixtral", "phimoe", "granitemoe", "qwen3_moe"])
def test_a_router_on_the_edge_is_no_fault_of_the_layout(kind):
    """In 16 bits a token may go to another expert when its pass has another shape."""
    for seed in range(4):
        model = built(configuration(kind), seed=seed).to(torch.bfloat16)
        done = self_test(
            model, decoder_of(model, "tiny"), prompts(3), quantization="bf16", batch_tokens=70, name="tiny"
        )
        assert done.layout == Trees()


def test_faults_of_layouts_are_seen_in_16_bits_too(monkeypatch):
    monkeypatch.setattr(Row, "ancestors", lambda row: np.tri(len(row.tokens), dtype=bool))
    model = built(configuration("llama")).to(torch.bfloat16)
    done = self_test(model, decoder_of(model, "tiny"), prompts(), quantization="bf16", batch_tokens=70, name="tiny")
    assert done.layout == EqualLengths()


def test_attention_before_the_mlp_is_seen_though_some_embeddings_are_equal():
    """Of tokens that were never trained, for example."""
    model = built(configuration("llama"))
    model.model.embed_tokens.weight.data[3:6] = 0
    tokens = [[3, 4, 5, 6], [7, 8, 9]]
    done = self_test(model, decoder_of(model, "tiny"), tokens, quantization="fp32", batch_tokens=70, name="tiny")
    assert done.no_mlp_input is None


def test_the_texts_share_a_prefix_and_one_is_short(loaded):
    tokens = tested.fixed_prompts(loaded(built(configuration("llama"))))
    longest = max(tokens, key=len)
    assert sum(common_prefix(prompt, longest) >= SHARED for prompt in tokens) >= 3
    assert min(map(len, tokens)) == 1
    assert any(len(a) == len(b) and a != b for a in tokens for b in tokens), "whole prompts can share a pass"
