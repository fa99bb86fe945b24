"""Attention of flat passes is that of a mask over everything before, and no other pass sees any of it."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from conceptdepth.activations import attention
from conceptdepth.activations.attention import FlatAttention, Kept, additive, flash_serves
from conceptdepth.activations.trees import Sight, flat_passes
from test_gathering import LONG
from test_trees import PROMPTS
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.llama.modeling_llama import eager_attention_forward

pytestmark = pytest.mark.usefixtures("one_thread")

SIGHTS = {"full_attention": Sight(), "sliding_attention": Sight(window=4), "chunked_attention": Sight(chunk=5)}
HEADS, WIDTH, SCALE = 4, 8, 0.3
FLASH = "varlen_flash"


def softmax_attention(query, key, value, visible):
    """Return attention by its formula: one matrix of all tokens and keys, (1, n_tokens, n_heads, width)."""
    key, value = (states.repeat_interleave(query.shape[1] // states.shape[1], dim=1) for states in (key, value))
    scores = (query @ key.transpose(2, 3) * SCALE).masked_fill(~torch.from_numpy(visible), -torch.inf)
    return (scores.softmax(3) @ value).transpose(1, 2)


def variable_lengths(query, key, value, run_ends, path_ends, most, longest, *, scale, window_size, **grouped):
    """Stand in for the flash kernel of GPUs: as its documentation says, sequence by sequence, aligned at their ends."""
    back, ahead = window_size
    assert (ahead, scale) == (0, SCALE)
    found = []
    for run, path in zip(zip(run_ends[:-1], run_ends[1:]), zip(path_ends[:-1], path_ends[1:])):
        q, k, v = (
            states[slice(*ends)].transpose(0, 1)[None] for states, ends in ((query, run), (key, path), (value, path))
        )
        assert (q.shape[2] <= most, k.shape[2] <= longest) == (True, True)
        of = torch.arange(k.shape[2] - q.shape[2], k.shape[2])[:, None]
        to = torch.arange(k.shape[2])
        seen = (to <= of) & ((of - to <= back) if back >= 0 else torch.tensor(True))
        found.append(softmax_attention(q, k, v, seen.numpy())[0])
    return torch.cat(found)


@pytest.fixture(params=["sdpa in batches", "eager in batches", "flash"])
def way(request, monkeypatch):
    """Return what a model asks for, and have it computed in one of the ways."""
    if request.param == "flash":
        monkeypatch.setattr(attention, "varlen_attn", variable_lengths)
        monkeypatch.setattr(attention, "_grouped", dict)
        monkeypatch.setattr(attention, "flash_serves", lambda query, key, value, sight, named: sight.chunk is None)
    return eager_attention_forward if request.param.startswith("eager") else sdpa_attention_forward


@pytest.mark.parametrize("key_heads", [1, 2, HEADS])
@pytest.mark.parametrize("capacity", [20, 64, 10_000])
def test_attention_is_that_of_the_mask_of_the_tree(way, key_heads, capacity):
    """In two layers for each kind of sight, from pass to pass with the keys and values that are kept."""
    draw = torch.Generator().manual_seed(0)
    module = SimpleNamespace(num_key_value_groups=HEADS // key_heads, training=False, is_causal=True)
    layers = [(kind, sight) for _ in range(2) for kind, sight in SIGHTS.items()]
    expected_of = [[torch.zeros(1, key_heads, 0, WIDTH)] * 2 for _ in layers]
    kept = Kept()
    for one in flat_passes(PROMPTS + LONG, capacity=capacity):
        flat = FlatAttention(one.tree, SIGHTS, kept)
        for number, (kind, sight) in enumerate(layers):
            query, *new = (
                torch.randn((1, heads, one.tokens.size, WIDTH), generator=draw)
                for heads in (HEADS, key_heads, key_heads)
            )
            key, value = (torch.cat(pair, dim=2) for pair in zip(expected_of[number], new))
            found, _ = flat.attend(way, module, query, *new, flat.masks[kind], scaling=SCALE, dropout=0.0)
            expected = softmax_attention(query, key, value, one.tree.visible(sight))
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
            expected_of[number] = [states[:, :, one.tree.keep] for states in (key, value)]
        assert len(kept) == (len(layers) if len(one.tree.keep) else 0)
    assert not kept
    assert kept.kernels == {way.__name__} | ({FLASH} if attention.varlen_attn is variable_lengths else set())


def flat_of(prompts, sights=SIGHTS):
    (one,) = flat_passes(prompts, capacity=1000)
    return FlatAttention(one.tree, sights, Kept())


@pytest.mark.parametrize(
    "mask", [None, torch.zeros(1, 1, 3, 3), torch.zeros((1, 1, 1, 1), dtype=torch.bool), torch.zeros(1, 1, 1, 1)]
)
def test_a_mask_that_the_model_has_made_itself_is_refused(mask):
    states = torch.zeros(1, HEADS, 3, WIDTH)
    with pytest.raises(ValueError, match="the model makes masks of its own"):
        flat_of([[1, 2, 3]]).attend(sdpa_attention_forward, SimpleNamespace(), states, states, states, mask)


def test_masks_of_kinds_are_told_apart():
    flat = flat_of([[1, 2, 3]])
    assert list(flat.masks) == list(SIGHTS)
    assert len({mask.shape for mask in flat.masks.values()}) == len(SIGHTS)


def test_an_additive_mask_hides_what_is_not_seen():
    mask = additive(
        Sight(window=1).reaches(torch.arange(2)[:, None], torch.arange(2)).numpy(), torch.float16, torch.device("cpu")
    )
    lowest = torch.finfo(torch.float16).min
    assert mask.tolist() == [[[[0, lowest], [lowest, 0]]]]


def on_gpu(dtype=torch.bfloat16, width=64):
    """Stand in for states on a GPU."""
    return SimpleNamespace(is_cuda=True, dtype=dtype, shape=(1, HEADS, 9, width))


HARMLESS = {"scaling": SCALE, "dropout": 0.0, "sliding_window": 4, "softcap": None, "s_aux": None, "is_causal": True}


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.setattr(attention, "varlen_attn", variable_lengths)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("sight", [Sight(), Sight(window=4)])
@pytest.mark.parametrize("width", [8, 80, 256])
def test_the_flash_kernel_serves_ordinary_attention_of_gpus(kernel, dtype, sight, width):
    assert flash_serves(*[on_gpu(dtype, width)] * 3, sight, HARMLESS)


@pytest.mark.parametrize(
    ("states", "sight", "named"),
    [
        pytest.param([torch.zeros(1, HEADS, 9, 64, dtype=torch.bfloat16)] * 3, Sight(), {}, id="on a processor"),
        pytest.param([on_gpu(torch.float32)] * 3, Sight(), {}, id="in 32 bits"),
        pytest.param([on_gpu(), on_gpu(torch.float16), on_gpu()], Sight(), {}, id="keys of another type"),
        pytest.param([on_gpu(), on_gpu(), on_gpu(torch.float16)], Sight(), {}, id="values of another type"),
        pytest.param([on_gpu(), on_gpu(width=128), on_gpu()], Sight(), {}, id="wider keys"),
        pytest.param([on_gpu(), on_gpu(), on_gpu(width=32)], Sight(), {}, id="narrower values"),
        pytest.param([on_gpu(width=264)] * 3, Sight(), {}, id="too wide heads"),
        pytest.param([on_gpu(width=60)] * 3, Sight(), {}, id="heads of a width that is no multiple of 8"),
        pytest.param([on_gpu()] * 3, Sight(chunk=4), {}, id="chunks"),
        pytest.param([on_gpu()] * 3, Sight(), {"softcap": 30.0}, id="soft caps"),
        pytest.param([on_gpu()] * 3, Sight(), {"s_aux": torch.zeros(HEADS)}, id="sinks"),
        pytest.param([on_gpu()] * 3, Sight(), {"never_heard_of": 0}, id="what nobody has heard of"),
        pytest.param([on_gpu()] * 3, Sight(), {"dropout": 0.1}, id="dropout"),
        pytest.param([on_gpu()] * 3, Sight(), {"is_causal": False}, id="both ways"),
    ],
)
def test_the_flash_kernel_does_not_serve_anything_else(kernel, states, sight, named):
    assert not flash_serves(*states, sight, named)


def test_without_the_kernel_nothing_is_served(monkeypatch):
    monkeypatch.setattr(attention, "varlen_attn", None)
    assert not flash_serves(*[on_gpu()] * 3, Sight(), {})


def asked():
    """Return what a model is given as its attention now, in this thread."""
    return AttentionInterface().get_interface("sdpa", None)


def test_only_the_thread_of_a_flat_pass_is_given_another_function():
    assert asked() is sdpa_attention_forward
    with flat_of([[1, 2]]).under_way(), ThreadPoolExecutor(1) as other:
        assert asked() is not sdpa_attention_forward
        assert other.submit(asked).result() is sdpa_attention_forward
    assert asked() is sdpa_attention_forward


def test_after_a_pass_that_failed_models_are_given_their_own_function():
    with pytest.raises(KeyError), flat_of([[1, 2]]).under_way():
        raise KeyError
    assert asked() is sdpa_attention_forward


def test_what_was_given_during_a_pass_computes_what_it_should_after_it():
    """A model may hold on to the function that it was given."""
    states = torch.randn(1, HEADS, 3, WIDTH)
    module = SimpleNamespace(is_causal=True)
    with flat_of([[1, 2]]).under_way():
        given = asked()
    found, _ = given(module, states, states, states, None)
    torch.testing.assert_close(found, sdpa_attention_forward(module, states, states, states, None)[0])


def test_attention_in_the_models_own_code_is_served_too():
    """Eager attention is what a model gives as the default."""
    with flat_of([[1, 2]]).under_way():
        assert AttentionInterface().get_interface("eager", eager_attention_forward) is not eager_attention_forward
    assert AttentionInterface().get_interface("eager", eager_attention_forward) is eager_attention_forward
