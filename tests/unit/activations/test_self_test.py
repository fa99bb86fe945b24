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
from conceptdepth.activations import attention, collector, tested
from conceptdepth.activations.attention import FlatAttention
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.gathering import OnDevice
from conceptdepth.activations.layouts import EqualLengths, MaskedTrees, Trees, layouts_of, parts
from conceptdepth.activations.leaving import Leaving
from conceptdepth.activations.plain import relative
from conceptdepth.activations.reading import Reading
from conceptdepth.activations.self_test import self_test
from conceptdepth.activations.tested import TEXTS, long_prompts, self_tested
from conceptdepth.activations.trees import Sight, Tree, common_prefix
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.models import places
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


def sight_shows_all(patch):
    """Tokens see what comes after them in their run."""
    patch.setattr(Sight, "reaches", lambda sight, of, to: (of >= 0) & (to >= 0))


def masks_show_all(patch):
    """Tokens see the runs of other prompts, where passes are told by masks."""
    patch.setattr(Tree, "visible", lambda tree, sight: np.tri(len(tree.positions), dtype=bool))


def gathers_neighbours(patch):
    """Rows get the tokens before theirs, where paths are gathered."""
    right = attention._rows
    patch.setattr(attention, "_rows", lambda *given: right(*given).roll(1, dims=2))


def puts_tokens_in_another_order(patch):
    """Tokens get the attention of others, where runs are batches."""
    patch.setattr(OnDevice, "back", property(lambda on: torch.arange(len(on._tree.positions)).flip(0)))


def keeps_nothing(patch):
    """Values of earlier passes are lost."""
    right = attention._for_the_next

    def wrong(*given):
        keys, values = right(*given)
        return keys, torch.zeros_like(values)

    patch.setattr(attention, "_for_the_next", wrong)


def keeps_those_of_another_layer(patch):
    """Keys and values of earlier passes are those of the first layer, in each."""
    right = FlatAttention.attend

    def wrong(flat, *given, **named):
        flat._call = 0
        return right(flat, *given, **named)

    patch.setattr(FlatAttention, "attend", wrong)


def keeps_the_first_token(patch):
    """Keys and values of earlier passes are those of the first token, for each."""
    right = attention._for_the_next
    patch.setattr(
        attention, "_for_the_next", lambda *given: [those[:, :, :1].expand_as(those) for those in right(*given)]
    )


def masks_are_no_numbers(patch):
    patch.setattr(
        attention, "_additive", lambda visible, dtype: torch.full(visible[:, None].shape, float("nan"), dtype=dtype)
    )


def windows_are_forgotten(patch):
    patch.setattr("conceptdepth.activations.forward.sights_of", lambda config: {"all": Sight()})


FAULTS = {
    sight_shows_all: EqualLengths(),
    masks_are_no_numbers: EqualLengths(),
    masks_show_all: Trees(),
    gathers_neighbours: MaskedTrees(),
    puts_tokens_in_another_order: MaskedTrees(),
    keeps_nothing: MaskedTrees(),
    keeps_those_of_another_layer: MaskedTrees(),
    keeps_the_first_token: MaskedTrees(),
}
"""What is put into passes -> the first layout that is right all the same."""

by_fault = pytest.mark.parametrize(("fault", "left"), FAULTS.items(), ids=[fault.__name__ for fault in FAULTS])


@by_fault
def test_faults_are_found_out_and_the_first_layout_without_them_is_taken(fault, left, monkeypatch):
    fault(monkeypatch)
    assert of_kind("llama").layout == left


@by_fault
def test_faults_are_found_out_by_the_fixed_texts(fault, left, loaded, monkeypatch):
    """Whatever a tokenizer makes of them, they leave a path from pass to pass."""
    fault(monkeypatch)
    done = self_tested(loaded(built(configuration("llama"))), [[3]], sites=SITES, batch_tokens=64)
    assert done.layout == left


@by_fault
def test_faults_of_layouts_are_seen_in_16_bits_too(fault, left, monkeypatch):
    fault(monkeypatch)
    model = built(configuration("llama")).to(torch.bfloat16)
    done = self_test(model, decoder_of(model, "tiny"), prompts(), quantization="bf16", batch_tokens=70, name="tiny")
    assert done.layout == left


def test_faults_of_masks_are_found_out_where_a_model_takes_nothing_else(monkeypatch):
    assert of_kind("gptj").layout == MaskedTrees()
    masks_show_all(monkeypatch)
    assert of_kind("gptj").layout == EqualLengths()


def test_windows_that_are_forgotten_are_found_out(monkeypatch):
    windows_are_forgotten(monkeypatch)
    assert of_kind("mistral").layout == EqualLengths()


def test_layouts_are_tried_in_turn_and_the_log_says_which_failed(monkeypatch, caplog):
    gathers_neighbours(monkeypatch)
    masks_show_all(monkeypatch)
    with caplog.at_level(logging.INFO):
        assert of_kind("llama").layout == EqualLengths()
    said = [record.getMessage() for record in caplog.records if record.name.endswith("self_test")]
    expected = [
        "tiny, laid out as prefix trees, fails its self-test by",
        "tiny, laid out as prefix trees with masks, fails its self-test by",
        "self-test of tiny passed: prompts of equal length, differences up to",
    ]
    assert len(said) == len(expected)
    assert all(line.startswith(beginning) for line, beginning in zip(said, expected))


def test_layouts_that_a_model_does_not_take_are_passed_over(monkeypatch, caplog):
    masks_are_no_numbers(monkeypatch)
    with caplog.at_level(logging.INFO):
        assert of_kind("llama").layout == EqualLengths()
    for name in ("prefix trees", "prefix trees with masks"):
        assert f"tiny does not take {name} (UserError: tiny: the activations at" in caplog.text


def test_vectors_that_no_layout_gets_right_are_an_error_with_site_layer_and_number(monkeypatch):
    """Two layers of one site are off by a thousandth."""
    right, factors = Leaving.take, {("mlp_input/last", 2): 1.001, ("mlp_input/last", 3): 1.0005}

    def off(self, site, layer, vectors, prompts):
        right(self, site, layer, vectors * factors.get((site, layer), 1.0), prompts)

    monkeypatch.setattr(Leaving, "take", off)
    with pytest.raises(UserError) as told:
        of_kind("llama")
    assert str(told.value) == (
        "models.tiny: what would be stored is not what the plain model computes: at mlp_input of layer 2 it differs by "
        "0.001 of the vector's length, where rounding of fp32 explains 0.0001."
    )


def test_means_that_lose_a_token_fail_the_test_of_cells_that_read_them(loaded, monkeypatch):
    """One of the vectors of earlier passes is lost, which no last token has."""
    right = Reading.for_the_next
    monkeypatch.setattr(Reading, "for_the_next", lambda *given: right(*given).index_fill(0, torch.tensor([1]), 0))
    model = loaded(built(configuration("llama")))
    assert self_tested(model, [[3]], sites=SITES, batch_tokens=64).layout == Trees()
    found = self_tested(model, [[3]], sites=SITES, positions=["text_mean"], batch_tokens=64)
    assert found.layout == MaskedTrees(), "which keeps nothing"
    monkeypatch.undo()
    model = loaded(built(configuration("llama")))
    assert self_tested(model, [[3]], sites=SITES, positions=["text_mean"], batch_tokens=64).layout == Trees()


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
    for layout in (MaskedTrees(), EqualLengths()):
        less = replace(other, layout=layout)
        assert one.joined(less).layout == less.joined(one).layout == EqualLengths()


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
    assert (short, long) == (Trees(), EqualLengths())


@pytest.mark.parametrize("capacity", [31, 400, 5000])
def test_llama_4_scales_queries_by_position_though_it_counts_places(capacity):
    """In passes wider than its scale's floor, and for prompts longer than that."""
    config = configuration("llama4_text")
    config.attn_temperature_tuning, config.floor_scale, config.attn_scale = True, 32, 0.5
    model = built(config)
    body = decoder_of(model, "tiny")
    draw = np.random.default_rng(0)
    tokens = [draw.integers(3, 97, length).tolist() for length in (*[20] * 40, 31, 32, 40, 60)]
    expected = one_by_one(body, tokens, SITES)
    for layout in layouts_of(body):
        assert largest(read(body, tokens, batch_tokens=capacity, layout=layout), expected) < 1e-5
    wrong = [Trees(), MaskedTrees()] if capacity > 32 else []
    for layout in wrong:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("conceptdepth.activations.layouts.place_limit", lambda config: None)
            assert largest(read(body, tokens, batch_tokens=capacity, layout=layout), expected) > 0.001


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
    assert "mlp_input" in self_tested(model, [[3, 4]], sites=["residual"], batch_tokens=64).absent


def test_each_set_of_sites_is_tested_once_a_load(loaded, monkeypatch):
    """The file of a cell says what its own sites were tested by, whichever cell came first."""
    model, told = loaded(built(configuration("llama"))), counted(monkeypatch)
    for sites in (SITES, ["mlp_output"], ["residual", "mlp_output"], ["residual_mid", "mlp_output"], ["residual"]):
        done = self_tested(model, [[3]], sites=sites, batch_tokens=64)
        assert set(done.differences) == {EMBEDDING, *SITES, *sites}
    assert len(told) == 3


def test_a_site_that_nobody_asked_for_cannot_fail_a_load(loaded, monkeypatch):
    def fail(*given):
        raise UserError("no")

    model = loaded(built(configuration("llama")))
    monkeypatch.setattr(places, "_look", fail)
    self_tested(model, [[3]], sites=SITES, batch_tokens=64)
    with pytest.raises(UserError, match="no"):
        self_tested(model, [[3]], sites=["mlp_output"], batch_tokens=64)


def test_a_site_in_the_stream_that_the_model_does_not_have_ends_the_cell(loaded):
    model = loaded(built(configuration("phi")))
    with pytest.raises(UserError, match="tiny has no residual_mid, because its blocks run attention and MLP side by"):
        self_tested(model, [[3, 4]], sites=["attention_output", "residual_mid"], batch_tokens=64)
    done = self_tested(model, [[3, 4]], sites=["attention_output", "mlp_output"], batch_tokens=64)
    assert max(found.max() for found in done.differences.values()) < 1e-5


def test_what_is_read_at_a_wrong_place_fails_the_self_test(monkeypatch):
    """In the passes alone: a sum of two modules of which one is forgotten."""
    config = configuration("granitemoehybrid")
    model = built(config)
    body, right = decoder_of(model, "tiny"), collector.listen

    def forgets(hooks, block, at, keep):
        right(hooks, block, replace(at, beside=()), keep)

    monkeypatch.setattr(collector, "listen", forgets)
    with pytest.raises(UserError, match="what would be stored is not what the plain model computes: at mlp_output of"):
        self_test(model, body, prompts(3), quantization="fp32", batch_tokens=70, more=["mlp_output"], name="tiny")


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
    windows_are_forgotten(monkeypatch)
    tokens = [[3] * 29, list(range(3, 60)), list(range(4, 64))]
    done = self_tested(model, tokens, sites=SITES, batch_tokens=200)
    assert done.layout == EqualLengths()
    assert largest(read(model.body, tokens), one_by_one(model.body, tokens, SITES)) > 0.01, "trees are wrong here"
    found = read(model.body, tokens, layout=done.layout)
    assert largest(found, one_by_one(model.body, tokens, SITES)) < 1e-5
    assert self_tested(model, tokens[:1], sites=SITES, batch_tokens=200).layout == Trees(), "others stay as they are"


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


def test_attention_before_the_mlp_is_seen_though_some_embeddings_are_equal():
    """Of tokens that were never trained, for example."""
    model = built(configuration("llama"))
    model.model.embed_tokens.weight.data[3:6] = 0
    tokens = [[3, 4, 5, 6], [7, 8, 9]]
    done = self_test(model, decoder_of(model, "tiny"), tokens, quantization="fp32", batch_tokens=70, name="tiny")
    assert not done.absent


def test_the_fixed_texts_share_what_prompts_can_share(loaded):
    """Some share a prefix, one is inside others, one shares hardly anything, and two are as long and may share a pass."""
    tokens = tested.fixed_prompts(loaded(built(configuration("llama"))))
    shared = [[common_prefix(a, b) for b in tokens if b != a] for a in tokens]
    assert sum(max(others) >= 3 for others in shared) >= 3
    assert min(map(len, tokens)) == 1
    assert any(max(others) == len(prompt) < max(map(len, tokens)) for prompt, others in zip(tokens, shared))
    assert min(max(others) for others in shared) <= 1
    assert any(len(a) == len(b) and a != b for a in tokens for b in tokens), "whole prompts can share a pass"


def test_where_all_texts_differ_in_length_one_is_cut(loaded, monkeypatch):
    model = loaded(built(configuration("llama")))
    monkeypatch.setattr(model, "tokens", lambda texts: [[3] * (4 + number) + [5] for number in range(len(texts))])
    monkeypatch.setattr(tested, "check_last_tokens", lambda *given: None)
    *texts, cut = tested.fixed_prompts(model)
    assert len(texts) == len(TEXTS)
    assert cut == texts[-1][:-1]


def test_a_self_test_has_passes_that_go_on_where_others_ended(loaded, monkeypatch):
    """Else it would not see what is wrong with what is kept."""
    kept, right = [], FlatAttention.__init__

    def told(flat, tree, *given):
        kept.append(tree.kept)
        right(flat, tree, *given)

    monkeypatch.setattr(FlatAttention, "__init__", told)
    self_tested(loaded(built(configuration("llama"))), [[3]], sites=SITES, batch_tokens=512)
    assert max(kept) >= 3
