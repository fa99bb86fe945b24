"""What a GPU computes is what it computes for one prompt at a time: skipped where PyTorch sees none.

On a machine without the rest of the tests' packages:
``pytest --noconftest -c /dev/null --rootdir . tests/unit/activations/test_gpu.py`` with ``tests`` and
``workflow_scripts`` on PYTHONPATH.
"""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers as hf
from architectures import built, configuration
from conceptdepth.activations.extraction import Work, extract, shape
from conceptdepth.activations.layouts import Trees, layouts_of
from conceptdepth.models.sites import decoder_of
from plain_passes import one_by_one, prompts

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")

FLASH = [
    "llama",
    "mistral",
    "qwen2",
    "qwen2, windows",
    "qwen3",
    "gemma3_text",
    "phi3",
    "gpt2",
    "olmo2",
    "cohere",
    "opt",
]
"""Kinds whose attention the flash kernel computes in 16 bits: grouped heads and windows among them."""

IN_SOME_LAYERS = ["llama4_text"]
"""Kinds of which some layers attend within chunks, which that kernel cannot."""

THEIR_OWN = ["gemma2", "gpt_oss", "deepseek_v3", "gptj", "falcon", "doge", "mamba"]
"""Kinds with soft caps, sinks, heads of two widths, attention or masks of their own, and no attention."""


def on_gpu(kind: str, dtype: torch.dtype) -> hf.PreTrainedModel:
    return decoder_of(copy.deepcopy(built(configuration(kind))), kind).to("cuda", dtype)


def read(body, tokens, **settings) -> tuple[np.ndarray, Work]:
    n_layers, d_model = shape(body, "tiny")
    found = np.full((n_layers, len(tokens), d_model), np.nan, np.float32)
    work = extract(body, tokens, into={"residual": found}, name="tiny", **{"batch_tokens": 70} | settings)
    return found, work


def alone(body, tokens) -> np.ndarray:
    """Return what one prompt at a time gives, (n_layers, n_prompts, d_model)."""
    return one_by_one(body, tokens, ["residual"])["residual"]


def errors(found, expected) -> np.ndarray:
    return np.linalg.norm(found - expected, axis=2) / np.linalg.norm(expected, axis=2)


@pytest.mark.parametrize("common", [0, 17])
@pytest.mark.parametrize("kind", [*FLASH, *IN_SOME_LAYERS, *THEIR_OWN])
def test_float32_is_what_each_prompt_gives_alone(kind, common):
    body, tokens = on_gpu(kind, torch.float32), prompts(common)
    layout = layouts_of(body)[1 if kind == "doge" else 0]
    for capacity in (24, 70, 1000):
        assert errors(read(body, tokens, batch_tokens=capacity, layout=layout)[0], alone(body, tokens)).max() < 1e-5


@pytest.mark.parametrize("kind", [*FLASH, *IN_SOME_LAYERS, *THEIR_OWN])
def test_bfloat16_is_as_near_to_float32_as_each_prompt_alone(kind):
    tokens = prompts(17)
    narrow = on_gpu(kind, torch.bfloat16)
    wide = copy.deepcopy(narrow).float()
    expected = alone(wide, tokens)
    layout = layouts_of(narrow)[1 if kind == "doge" else 0]
    for capacity in (24, 1000):
        found, work = read(narrow, tokens, batch_tokens=capacity, layout=layout)
        assert np.median(errors(found, expected)) < 1.5 * np.median(errors(alone(narrow, tokens), expected))
        assert ("flash" in work.kernels) == (kind not in THEIR_OWN), work.kernels


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "qwen3"])
def test_compiled_bfloat16_is_as_near_to_float32(kind):
    tokens = prompts(17)
    narrow = on_gpu(kind, torch.bfloat16)
    expected = alone(copy.deepcopy(narrow).float(), tokens)
    plain = np.median(errors(alone(narrow, tokens), expected))
    found, _ = read(narrow, tokens, layout=Trees(compiled=True))
    assert np.median(errors(found, expected)) < 1.5 * plain


def test_threads_that_share_a_model_get_the_same_bits():
    body = on_gpu("llama", torch.bfloat16)
    draw = np.random.default_rng(2)
    given = [[draw.integers(3, 97, 20).tolist() for _ in range(30)] for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda tokens: read(body, tokens)[0], given))
    for tokens, found in zip(given, together):
        np.testing.assert_array_equal(read(body, tokens)[0], found)


def test_a_model_on_two_devices_is_read_right():
    """Half of the blocks on the processor, as `device_map` spreads a model that does not fit."""
    from accelerate import dispatch_model

    model = copy.deepcopy(built(configuration("llama")))
    tokens = prompts(17)
    expected = alone(decoder_of(model, "tiny"), tokens)
    places = {"model.embed_tokens": 0, "model.norm": "cpu", "model.rotary_emb": 0, "lm_head": "cpu"}
    halves = {f"model.layers.{layer}": 0 if layer < 2 else "cpu" for layer in range(4)}
    body = decoder_of(dispatch_model(model, places | halves), "tiny")
    assert errors(read(body, tokens, batch_tokens=24)[0], expected).max() < 1e-5


def test_memory_that_really_runs_out_halves_passes():
    body = on_gpu("llama", torch.float32)
    draw = np.random.default_rng(3)
    tokens = [draw.integers(3, 97, 60).tolist() for _ in range(2000)]
    expected, _ = read(body, tokens, batch_tokens=2000)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 24 * 2**20) / total)
    try:
        found, work = read(body, tokens, batch_tokens=120_000)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert work.batch_tokens < 120_000
    assert errors(found, expected).max() < 1e-5
