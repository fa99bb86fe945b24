"""The most common silent errors of this field: padding, positions and the last token.

Every architecture is built small with random weights. Activations of the packed rows must equal those of
plain Hugging Face forward passes: one prompt at a time, padded on the left and padded on the right.
"""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import transformers as hf
from conceptdepth.errors import UserError
from conceptdepth.extraction import extract
from conceptdepth.sites import blocks, site_module

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
    return model.base_model.eval()


def prompts() -> list[list[int]]:
    """Prompts that share prefixes of every kind: none, some, whole, and a pair of equal ones."""
    draw = np.random.default_rng(0)
    stem = draw.integers(3, 97, 12).tolist()
    branches = [stem[:k] + draw.integers(3, 97, n).tolist() for k, n in [(12, 3), (12, 9), (5, 4), (7, 20), (0, 11)]]
    return [*branches, stem, branches[1], branches[3][:-1], [5]]


def sites_of(body: hf.PreTrainedModel) -> list[str]:
    return ["residual"] if getattr(body.config, "use_parallel_residual", False) else ["mlp_input", "residual"]


def plain_forward(body: hf.PreTrainedModel, tokens: Sequence[Sequence[int]], side: str) -> dict[str, np.ndarray]:
    """Read the sites with a padded batch through the model as Hugging Face would run it."""
    width = max(map(len, tokens))
    ids = torch.zeros(len(tokens), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(tokens):
        place = slice(width - len(prompt), None) if side == "left" else slice(0, len(prompt))
        ids[row, place], mask[row, place] = torch.tensor(prompt), 1
    last = [width - 1 if side == "left" else len(prompt) - 1 for prompt in tokens]
    found: dict[str, list[np.ndarray]] = {site: [] for site in sites_of(body)}
    handles = []
    for site in found:

        def hook(module, arguments, output, site=site):
            output = output[0] if isinstance(output, tuple) else output
            output = output.reshape(len(tokens), width, -1)  # OPT flattens its batch before the MLP.
            found[site].append(output[range(len(tokens)), last].numpy())

        for block in blocks(body, "tiny"):
            handles.append(block.get_submodule(site_module(site, body.config, "tiny")).register_forward_hook(hook))
    with torch.inference_mode():
        body(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0), use_cache=False)
    for handle in handles:
        handle.remove()
    return {site: np.stack(layers) for site, layers in found.items()}


@pytest.fixture(scope="module")
def one_by_one(body: hf.PreTrainedModel) -> dict[str, np.ndarray]:
    single = [plain_forward(body, [prompt], "right") for prompt in prompts()]
    return {site: np.concatenate([one[site] for one in single], axis=1) for site in single[0]}


@pytest.mark.parametrize("batch_tokens", [1, 24, 1000])
def test_packed_equals_one_by_one(body, one_by_one, batch_tokens):
    packed = extract(body, prompts(), sites=sites_of(body), batch_tokens=batch_tokens, name="tiny")
    for site, expected in one_by_one.items():
        np.testing.assert_allclose(packed.activations[site], expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_packed_equals_padded(body, side):
    packed = extract(body, prompts(), sites=sites_of(body), batch_tokens=40, name="tiny")
    for site, expected in plain_forward(body, prompts(), side).items():
        np.testing.assert_allclose(packed.activations[site], expected, atol=TOLERANCE, rtol=0)


def test_residual_equals_output_hidden_states(body):
    packed = extract(body, prompts(), sites=["residual"], batch_tokens=40, name="tiny").activations["residual"]
    for number, prompt in enumerate(prompts()):
        with torch.inference_mode():
            states = body(torch.tensor([prompt]), output_hidden_states=True, use_cache=False).hidden_states
        # The last of the hidden states is after the final norm; the ones before it are the blocks' outputs.
        for layer in range(len(packed) - 1):
            np.testing.assert_allclose(packed[layer, number], states[layer + 1][0, -1], atol=TOLERANCE, rtol=0)


def test_mlp_input_is_what_the_mlp_receives(body):
    """The site's meaning, checked without the table of module names."""
    if sites_of(body) == ["residual"]:
        pytest.skip("parallel blocks have no mlp_input")
    packed = extract(body, [prompts()[0]], sites=["mlp_input"], batch_tokens=40, name="tiny").activations["mlp_input"]
    received: list[np.ndarray] = []

    def hook(module, arguments):
        received.append(arguments[0].reshape(-1, 32)[-1].numpy())

    first_of_mlp = ("mlp", "fc1")
    handles = [
        module.register_forward_pre_hook(hook)
        for block in blocks(body, "tiny")
        for path, module in block.named_modules()
        if path in first_of_mlp
    ]
    with torch.inference_mode():
        body(torch.tensor([prompts()[0]]), use_cache=False)
    for handle in handles:
        handle.remove()
    np.testing.assert_allclose(packed[:, 0], np.stack(received), atol=TOLERANCE, rtol=0)


def test_shared_prefixes_are_computed_once(body):
    packed = extract(body, prompts(), sites=["residual"], batch_tokens=1000, name="tiny")
    distinct = {tuple(prompt[: k + 1]) for prompt in prompts() for k in range(len(prompt))}
    assert packed.tokens_computed == len(distinct)
    assert packed.n_tokens == [len(prompt) for prompt in prompts()]


def test_a_prompt_that_is_too_long_is_an_error(body):
    with pytest.raises(UserError, match="65 tokens, but tiny takes at most 64"):
        extract(body, [[5] * 65], sites=["residual"], batch_tokens=40, name="tiny")


def test_parallel_blocks_have_no_mlp_input():
    with pytest.raises(UserError, match="no mlp_input"):
        site_module("mlp_input", hf.GPTNeoXConfig(use_parallel_residual=True), "pythia")


def test_unknown_architecture_is_an_error():
    model = hf.BloomModel(hf.BloomConfig(vocab_size=97, hidden_size=32, n_layer=1, n_head=2))
    with pytest.raises(UserError, match="'bloom' is not supported; supported are llama"):
        blocks(model, "bloom")
