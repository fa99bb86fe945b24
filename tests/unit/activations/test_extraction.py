"""The most common silent errors of this field: padding, positions and the last token.

Every architecture is built small with random weights. Activations of flat passes must equal those of plain
Hugging Face forward passes of one prompt at a time.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers as hf
from conceptdepth.activations.collector import Collector
from conceptdepth.activations.extraction import Work, extract, shape
from conceptdepth.activations.layouts import MaskedTrees
from conceptdepth.activations.leaving import Leaving
from conceptdepth.activations.store import new_activations
from conceptdepth.activations.trees import distinct_tokens
from conceptdepth.ground.errors import NotWanted, UserError
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.models.sites import blocks, decoder_of
from conceptdepth.provenance.environment import begin_peak_memory, peak_memory_mb
from plain_passes import one_by_one, prompts

pytestmark = pytest.mark.usefixtures("one_thread")

TOLERANCE = 2e-5
"""Absolute, in float32, for activations of order one: another order of additions gives up to 5e-6."""

SMALL = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
WINDOW = {"sliding_window": 6}

NO_GROUPED_HEADS = {key: value for key, value in SMALL.items() if key != "num_key_value_heads"}
OPT = {
    "vocab_size": 97,
    "hidden_size": 32,
    "word_embed_proj_dim": 32,
    "ffn_dim": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
MIXED = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}

ARCHITECTURES = {
    "llama": lambda: hf.LlamaConfig(**SMALL),
    "mistral": lambda: hf.MistralConfig(**SMALL, **WINDOW),
    "qwen2": lambda: hf.Qwen2Config(**SMALL),
    "qwen2_windowed": lambda: hf.Qwen2Config(**SMALL, **WINDOW, use_sliding_window=True, max_window_layers=1),
    "qwen3": lambda: hf.Qwen3Config(**SMALL, head_dim=8),
    "gemma": lambda: hf.GemmaConfig(**SMALL, head_dim=8),
    "gemma2": lambda: hf.Gemma2Config(**SMALL, **WINDOW, head_dim=8),
    "gemma3": lambda: hf.Gemma3TextConfig(**SMALL, **WINDOW, **MIXED, head_dim=8),
    "phi3": lambda: hf.Phi3Config(**SMALL, **WINDOW),
    "gpt2": lambda: hf.GPT2Config(vocab_size=97, n_embd=32, n_layer=3, n_head=4, n_positions=64),
    "gpt_neox": lambda: hf.GPTNeoXConfig(**NO_GROUPED_HEADS, use_parallel_residual=False),
    "gpt_neox_parallel": lambda: hf.GPTNeoXConfig(**NO_GROUPED_HEADS, use_parallel_residual=True),
    "opt": lambda: hf.OPTConfig(**OPT),
    "opt_post_norm": lambda: hf.OPTConfig(**OPT, do_layer_norm_before=False),
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def body(request: pytest.FixtureRequest) -> hf.PreTrainedModel:
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(ARCHITECTURES[request.param]())
    for parameter in model.parameters():  # Initial weights of 0.02 would hide attention errors.
        parameter.data.normal_(std=0.2)
    return decoder_of(model.eval(), "tiny")


def sites_of(body: hf.PreTrainedModel) -> list[str]:
    return ["residual"] if getattr(body.config, "use_parallel_residual", False) else ["mlp_input", "residual"]


def packed(
    body: hf.PreTrainedModel, tokens: Sequence[Sequence[int]], *, sites: Sequence[str] = ("residual",), **settings
) -> tuple[dict[str, np.ndarray], Work]:
    """Extract into arrays in memory."""
    n_layers, d_model = shape(body, "tiny")
    arrays = {site: np.full((n_layers, len(tokens), d_model), np.nan, np.float32) for site in sites}
    return arrays, extract(body, tokens, into=arrays, name="tiny", **settings)


@pytest.fixture(scope="module", params=[0, 17], ids="common{}".format)
def common(request: pytest.FixtureRequest) -> int:
    """Tokens that all prompts share; the windows of this file have six."""
    return request.param


@pytest.fixture(scope="module")
def alone(body: hf.PreTrainedModel, common: int) -> dict[str, np.ndarray]:
    return one_by_one(body, prompts(common), sites_of(body))


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for site, vectors in expected.items():
        np.testing.assert_allclose(found[site], vectors, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("batch_tokens", [1, 24, 70, 1000])
def test_packed_equals_one_by_one(body, common, alone, batch_tokens):
    found, work = packed(body, prompts(common), sites=sites_of(body), batch_tokens=batch_tokens)
    assert_close(found, alone)
    assert (work.passes == 1) == (batch_tokens == 1000)


@pytest.mark.parametrize("most", [24, 50, 1000])
def test_packed_with_masks_equals_one_by_one(body, common, alone, most):
    """For models with an attention of their own, which any model can do without."""
    settings = {"sites": sites_of(body), "layout": MaskedTrees(most), "batch_tokens": 1000}
    found, work = packed(body, prompts(common), **settings)
    assert_close(found, alone)
    assert (work.passes == 1) == (most == 1000)
    assert work.tokens_computed >= distinct_tokens(prompts(common)), "each pass begins with a whole prompt"


def test_residual_equals_output_hidden_states(body):
    vectors = packed(body, prompts(3), batch_tokens=40)[0]["residual"]
    for number, prompt in enumerate(prompts(3)):
        with torch.inference_mode():
            states = body(torch.tensor([prompt]), output_hidden_states=True, use_cache=False).hidden_states
        # The last of the hidden states is after the final norm; the ones before it are the blocks' outputs.
        for layer in range(len(vectors) - 1):
            np.testing.assert_allclose(vectors[layer, number], states[layer + 1][0, -1], atol=TOLERANCE, rtol=0)


def test_the_embedding_is_what_the_first_block_gets(body):
    """The first of the hidden states, of each prompt's last token."""
    tokens = prompts(3)
    found = np.empty((1, len(tokens), body.config.get_text_config().hidden_size), np.float32)
    layers = np.empty((len(blocks(body, "tiny")), *found.shape[1:]), np.float32)
    extract(body, tokens, into={"residual": layers, EMBEDDING: found}, batch_tokens=40, name="tiny")
    for number, prompt in enumerate(tokens):
        with torch.inference_mode():
            states = body(torch.tensor([prompt]), output_hidden_states=True, use_cache=False).hidden_states
        np.testing.assert_allclose(found[0, number], states[0][0, -1], atol=TOLERANCE, rtol=0)


class Counted:
    """Counts the tokens of each pass that go through a model."""

    def __init__(self, body: hf.PreTrainedModel) -> None:
        self.passes: list[int] = []
        self._handle = body.get_input_embeddings().register_forward_hook(
            lambda module, arguments, output: self.passes.append(arguments[0].numel())
        )

    def __enter__(self) -> "Counted":
        return self

    def __exit__(self, *_) -> None:
        self._handle.remove()


@pytest.mark.parametrize("batch_tokens", [1, 24, 70, 1000])
def test_each_beginning_goes_through_the_model_once_however_many_passes_there_are(body, common, batch_tokens):
    """And nothing else does: no padding."""
    distinct = {tuple(prompt[: k + 1]) for prompt in prompts(common) for k in range(len(prompt))}
    with Counted(body) as through:
        _, work = packed(body, prompts(common), batch_tokens=batch_tokens)
    assert sum(through.passes) == work.tokens_computed == len(distinct)
    assert len(through.passes) == work.passes


def test_the_common_prefix_is_computed_once(body):
    _, work = packed(body, prompts(17), batch_tokens=24)
    assert work.passes > 2
    _, alone = packed(body, prompts(0), batch_tokens=24)
    assert work.tokens_computed == 17 + alone.tokens_computed


def test_threads_that_share_a_model_each_get_their_own(body):
    """As the cells of a worker do; every prompt differs from those of the other threads."""
    draw = np.random.default_rng(2)
    given = [[draw.integers(3, 97, 20).tolist() for _ in range(30)] for _ in range(4)]

    def one(tokens):
        torch.set_num_threads(1)
        return packed(body, tokens, sites=sites_of(body), batch_tokens=40)[0]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(one, given))
    for tokens, found in zip(given, together):
        for site, expected in one(tokens).items():
            np.testing.assert_array_equal(found[site], expected)


def test_work_that_nobody_wants_ends_before_the_next_pass(body):
    answers = iter([True, True, False])
    tokens = [[token] * 20 for token in range(3, 8)]
    with pytest.raises(NotWanted), Counted(body) as through:
        packed(body, tokens, batch_tokens=20, wanted=lambda: next(answers))
    assert through.passes == [20, 20]


class SmallMemory:
    """A stand-in for a GPU: a pass over more than ``limit`` tokens runs out of memory."""

    def __init__(self, body: hf.PreTrainedModel, limit: int) -> None:
        self.body, self.limit = body, limit

    def __enter__(self) -> None:
        def run_out(module, arguments, inputs):
            if self.runs_out((arguments[0] if arguments else inputs["input_ids"]).numel()):
                raise torch.OutOfMemoryError

        self.handle = self.body.register_forward_pre_hook(run_out, with_kwargs=True)

    def __exit__(self, *_) -> None:
        self.handle.remove()

    def runs_out(self, tokens: int) -> bool:
        return tokens > self.limit


@pytest.mark.parametrize("limit", [46, 60])
def test_when_memory_runs_out_passes_are_halved_and_nothing_is_lost(body, alone, common, limit):
    with SmallMemory(body, limit):
        found, work = packed(body, prompts(common), sites=sites_of(body), batch_tokens=100)
    assert work.batch_tokens < 100
    assert_close(found, alone)


def test_after_memory_has_run_out_nothing_is_kept(body, alone, common):
    """The second pass runs out. Those after it go on from its first prompt, which is computed from its beginning."""
    with Counted(body) as through:
        packed(body, prompts(common), batch_tokens=50)
    first, second, *_ = through.passes

    class SecondRunsOut(SmallMemory):
        tried = 0

        def runs_out(self, tokens: int) -> bool:  # noqa: ARG002  Whatever the pass has.
            self.tried += 1
            return self.tried == 2

    with SecondRunsOut(body, 0), Counted(body) as through:
        found, work = packed(body, prompts(common), sites=sites_of(body), batch_tokens=50)
    assert_close(found, alone)
    assert work.batch_tokens == second // 2
    assert (through.passes[0], len(through.passes)) == (first, work.passes)
    assert distinct_tokens(prompts(common)) <= work.tokens_computed == sum(through.passes)
    assert common == 0 or work.tokens_computed >= distinct_tokens(prompts(common)) + common


def test_finished_passes_are_not_run_again_when_memory_runs_out(body):
    """Prompt by prompt, since no two of them fit."""
    tokens = [[token] * 20 for token in range(3, 8)]
    with SmallMemory(body, 20), pytest.raises(UserError, match="memory ran out with a single prompt"):
        packed(body, [*tokens, [9] * 21], batch_tokens=30)
    _, work = packed(body, tokens, batch_tokens=40)
    assert (work.passes, work.tokens_computed) == (3, 100)
    with SmallMemory(body, 39):
        _, work = packed(body, tokens, batch_tokens=40)
    assert (work.passes, work.tokens_computed, work.batch_tokens) == (5, 100, 20)


def test_too_little_memory_for_a_single_prompt_is_an_error(body):
    """The first one: a run of what all prompts share and its own end."""
    with SmallMemory(body, 16), pytest.raises(UserError, match="memory ran out with a single prompt"):
        packed(body, prompts(17), batch_tokens=100)


def test_passes_of_fixed_size_are_not_halved(body):
    with SmallMemory(body, 20), pytest.raises(UserError, match="the results of this weight format depend on"):
        packed(body, prompts(), batch_tokens=100, fixed=True)


def test_a_prompt_that_is_too_long_is_an_error(body):
    with pytest.raises(UserError, match="65 tokens, but tiny takes at most 64"):
        packed(body, [[5] * 65], batch_tokens=40)


def test_peak_memory_does_not_grow_with_the_number_of_statements(tmp_path):
    """Vectors go to the file pass by pass: 250 MB of them need no memory."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this system does not tell the peak of a process anew")
    config = hf.LlamaConfig(**SMALL | {"hidden_size": 2048, "num_hidden_layers": 10}, head_dim=8)
    body = hf.LlamaModel(config).eval()

    def peak_mb(number: int) -> int:
        tokens = [[3 + n % 90, 3 + n // 90] for n in range(number)]
        rows = [{"id": str(n), "label": 0, "group": str(n)} for n in range(number)]
        size = {"n_layers": 10, "d_model": 2048, "prompts": rows, "n_tokens": [2] * number}
        begin_peak_memory()
        with new_activations(tmp_path / "file.h5", sites=["residual"], **size) as file:
            extract(body, tokens, into=file.into, batch_tokens=64, name="wide")
        return peak_memory_mb()

    few, many = peak_mb(300), peak_mb(3000)
    assert (tmp_path / "file.h5").stat().st_size > 240e6
    assert many - few < 60


def test_a_pass_of_another_thread_may_meet_a_hook_that_is_half_removed():
    """PyTorch knows no more that it takes named arguments, and gives it none."""
    config = hf.LlamaConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=16
    )
    body = hf.LlamaModel(config).eval()
    body.requires_grad_(False)
    tokens = torch.zeros((1, 2), dtype=torch.long)
    with (
        Leaving({}, "tiny") as leaving,
        Collector(body, ["residual", EMBEDDING], {}, leaving, "tiny"),
        ThreadPoolExecutor(1) as other,
    ):
        blocks(body, "tiny")[0]._forward_pre_hooks_with_kwargs.clear()
        found = other.submit(body, tokens).result()
    assert found.last_hidden_state.shape == (1, 2, 8)
