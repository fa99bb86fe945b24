"""Compiled blocks: only where asked for, only in the thread that asks, and no less exact."""

import copy
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from architectures import built, configuration
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.layouts import Trees
from conceptdepth.models import fused as module
from conceptdepth.models.fused import fused, pays
from conceptdepth.models.sites import blocks, decoder_of
from plain_passes import one_by_one, prompts

pytestmark = pytest.mark.usefixtures("one_thread")

SITES = ["mlp_input", "residual"]


def fresh(kind="llama"):
    return decoder_of(copy.deepcopy(built(configuration(kind))), "tiny")


def difference(body) -> float:
    """Return how far compiled flat passes are from one prompt at a time, relative to the vectors' lengths."""
    tokens, (n_layers, d_model) = prompts(17), shape(body, "tiny")
    found = {site: np.full((n_layers, len(tokens), d_model), np.nan, np.float32) for site in SITES}
    extract(body, tokens, into=found, batch_tokens=24, layout=Trees(compiled=True), name="tiny")
    expected = one_by_one(body, tokens, SITES)
    return max(
        (np.linalg.norm(found[site] - vectors, axis=2) / np.linalg.norm(vectors, axis=2)).max()
        for site, vectors in expected.items()
    )


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "gpt2"])
def test_compiled_blocks_give_what_each_prompt_gives_alone(kind, monkeypatch):
    """With the graphs that PyTorch captures; making kernels of them takes a minute: see the next test."""
    monkeypatch.setattr(module.torch, "compile", partial(torch.compile, backend="aot_eager"))
    assert difference(fresh(kind)) < 1e-5


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles for processors with g++, which is not here")
@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "qwen3_moe"])
def test_kernels_that_pytorch_makes_give_what_each_prompt_gives_alone(kind):
    assert difference(fresh(kind)) < 1e-5


@pytest.fixture
def called(monkeypatch):
    """Return a list to which a stand-in for compiling adds the class of each module that runs compiled."""
    told = []

    def compiled(plain, *, dynamic):
        def forward(*arguments, **named):
            told.append(type(plain.__self__).__name__)
            return plain(*arguments, **named)

        assert dynamic, "passes have tokens of any number"
        return forward

    monkeypatch.setattr(module.torch, "compile", compiled)
    return told


def test_blocks_run_compiled_inside_the_context_alone(called):
    body, ids = fresh(), torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        with fused(body, "tiny"):
            body(ids, use_cache=False)
        inside = len(called)
        body(ids, use_cache=False)
        with fused(body, "tiny"):
            body(ids, use_cache=False)
    parts = [type(part).__name__ for block in blocks(body, "tiny") for part in block.children()]
    assert sorted(called[:inside]) == sorted(parts), "every part of every block, once"
    assert len(called) == 2 * inside


def test_another_thread_runs_them_as_they_are(called):
    body, ids = fresh(), torch.tensor([[5, 6, 7]])

    def run():
        with torch.inference_mode():
            body(ids, use_cache=False)

    with fused(body, "tiny"), ThreadPoolExecutor(1) as other:
        other.submit(run).result()
    assert not called


WIDE = 10**9
"""Weights of the stand-in below: 30,000 tokens of it are 6e13 operations, 0.15 s."""


def on_a_gpu(dtype=torch.bfloat16, device="cuda"):
    """Return a stand-in for a model on a GPU, of which only these facts are asked."""
    weights = SimpleNamespace(dtype=dtype, device=torch.device(device, 0), numel=lambda: WIDE)
    return SimpleNamespace(device=torch.device(device, 0), parameters=lambda: [weights, weights])


def test_compiling_pays_for_long_work_in_16_bits_on_a_gpu():
    enough = int(module.WORTH_SECONDS * module.TERAFLOPS * 1e12 / (2 * 2 * WIDE))
    assert pays(on_a_gpu(), enough + 1)
    assert not pays(on_a_gpu(), enough - 1)
    assert pays(on_a_gpu(torch.float16), enough + 1)
    assert not pays(on_a_gpu(torch.float32), enough + 1)
    assert not pays(on_a_gpu(torch.int8), enough + 1)
    assert not pays(fresh(), 10**15)


def test_a_model_on_two_devices_is_not_compiled():
    body = on_a_gpu()
    other = SimpleNamespace(dtype=torch.bfloat16, device=torch.device("cuda", 1), numel=lambda: WIDE)
    body.parameters = lambda: [other, SimpleNamespace(**vars(other) | {"device": torch.device("cuda", 0)})]
    assert not pays(body, 10**15)
