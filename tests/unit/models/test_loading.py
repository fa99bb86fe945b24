"""A model is loaded as its file has it, in the format that was asked for, or not at all. Real weights, real bitsandbytes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from architectures import WRAPPERS, built, configuration, model_of, wrapped
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.layouts import Trees
from conceptdepth.activations.self_test import self_test
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import RANDOM
from conceptdepth.models.checkpoint import check_folder, stored_format
from conceptdepth.models.fetch import fetch_model
from conceptdepth.models.formats import real_format
from conceptdepth.models.loaded import LoadedModel, ModelRequest
from conceptdepth.models.loading import load_model
from conceptdepth.models.sites import decoder_of
from plain_passes import prompts
from safetensors.torch import load_file, save_file
from tiny_model import save_checkpoint, save_tiny_model

CPU = torch.device("cpu")


def load(folder: Path, quantization: str = "fp32", **settings) -> hf.PreTrainedModel:
    return load_model(folder, name="tiny", quantization=quantization, device=CPU, **settings)


def residual(model: hf.PreTrainedModel, tokens=None) -> np.ndarray:
    body, tokens = decoder_of(model, "tiny"), tokens or [[3, 4, 5, 6], [3, 4, 9]]
    n_layers, d_model = shape(body, "tiny")
    found = np.empty((n_layers, len(tokens), d_model), np.float32)
    extract(body, tokens, into={"residual": found}, batch_tokens=64, name="tiny")
    return found


@pytest.fixture
def folder(tmp_path) -> Path:
    return save_tiny_model(tmp_path / "model")


@pytest.fixture
def change(folder):
    """A function that changes the stored weights by another function, and gives the folder."""

    def changed(by):
        weights = load_file(folder / "model.safetensors")
        save_file(by(weights) or weights, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return changed


def test_weights_under_other_names_are_refused_and_the_wrapper_is_named(change):
    renamed = change(lambda weights: {f"_orig_mod.{key}": value for key, value in weights.items()})
    with pytest.raises(UserError) as told:
        load(renamed)
    assert re.fullmatch(
        r"models\.tiny: the weights are not those of the architecture: the checkpoint lacks lm_head\.weight, "
        r"model\.embed_tokens\.weight, model\.layers\.0\.input_layernorm\.weight and \d+ more and has, unknown to the "
        r"model, _orig_mod\.lm_head\.weight, .* and \d+ more\. Every name begins with '_orig_mod\.': save the model "
        r"inside the wrapper\.",
        str(told.value),
    )


@pytest.mark.parametrize("quantization", ["fp32", "bf16", "int8", "native"])
def test_a_weight_that_is_not_there_is_named(change, quantization):
    gone = "model.layers.1.mlp.up_proj.weight"
    lacking = change(lambda weights: {key: value for key, value in weights.items() if key != gone})
    with pytest.raises(UserError, match=r"lacks model.layers.1.mlp.up_proj.weight\. What is missing would be random"):
        load(lacking, quantization)


def test_a_weight_that_the_model_does_not_know_is_named(change):
    more = change(lambda weights: weights.update({"model.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(2, 64)}))
    with pytest.raises(UserError, match=r"has, unknown to the model, model.layers.0.self_attn.q_proj.lora_A.weight\."):
        load(more)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neo", "gptj", "codegen", "gpt_bigcode"])
def test_masks_that_older_models_kept_among_their_weights_are_no_weights(kind, tmp_path):
    folder = save_checkpoint(tmp_path / kind, built(configuration(kind)))
    weights = load_file(folder / "model.safetensors")
    block = "transformer.h.0.attn.attention" if kind == "gpt_neo" else "transformer.h.0.attn"
    masks = {
        f"{block}.{'causal_mask' if kind == 'codegen' else 'bias'}": torch.ones(1, 1, 64, 64, dtype=torch.bool).tril(),
        f"{block}.masked_bias": torch.tensor(-1e9),
    }
    save_file(weights | masks, folder / "model.safetensors", metadata={"format": "pt"})
    load(folder)
    save_file(weights | {f"{block}.more.bias": torch.ones(32)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"has, unknown to the model, {block}.more.bias. The checkpoint is of another"):
        load(folder)


def test_a_weight_of_another_shape_is_named(change):
    reshaped = change(lambda weights: weights.update({"model.norm.weight": torch.ones(63)}))
    with pytest.raises(UserError, match=r"has, of another shape, model.norm.weight \(63,\) for \(64,\)\."):
        load(reshaped)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("memory", [None, "40KB"], ids=["in memory", "on the disk"])
def test_a_weight_that_is_no_number_is_named_wherever_it_lies(change, tmp_path, bad, memory):
    def spoil(weights):
        weights["model.layers.2.mlp.down_proj.weight"][5, 7] = bad

    spread = {"max_memory": {"cpu": memory}, "offload_folder": str(tmp_path)} if memory else {}
    with pytest.raises(UserError, match=r"weights model.layers.2.mlp.down_proj.weight have values that are no finite"):
        load(change(spoil), **spread)


def test_a_head_that_is_tied_to_the_embedding_is_not_missing(tmp_path):
    config = configuration("qwen2")
    config.tie_word_embeddings = True
    folder = save_checkpoint(tmp_path / "tied", built(config))
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    model = load(folder)
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


@pytest.mark.parametrize("kind", [*WRAPPERS, "llama4", "qwen3_5"])
def test_of_a_model_of_text_and_images_the_text_tower_is_read(kind, tmp_path):
    """Its checkpoint has both; the vectors are those of the model that was saved."""
    if kind in WRAPPERS:
        saved = model_of(kind)
    else:  # transformers opens these two as their text tower alone.
        torch.manual_seed(0)
        saved = hf.AutoModelForImageTextToText.from_config(wrapped(kind)).eval()
    tokens = prompts(3)
    expected = [
        saved(torch.tensor([prompt]), output_hidden_states=True, use_cache=False).hidden_states[1][0, -1].detach()
        for prompt in tokens
    ]
    found = residual(load(save_checkpoint(tmp_path / kind, saved)), tokens)[0]
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """Wide enough for blocks of 4-bit weights."""
    torch.manual_seed(0)
    return save_checkpoint(tmp_path_factory.mktemp("plain"), built(_wide()))


def _wide() -> hf.PretrainedConfig:
    return hf.LlamaConfig(
        vocab_size=32, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip


BITS = {
    "nf4": hf.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.float32,
        bnb_4bit_use_double_quant=True,
    ),
    "int8": hf.BitsAndBytesConfig(load_in_8bit=True),
}


@pytest.fixture(scope="module", params=BITS)
def stored(request, plain, tmp_path_factory) -> tuple[str, Path]:
    """A checkpoint that was saved quantized, and its format."""
    model = hf.AutoModelForCausalLM.from_pretrained(
        plain, quantization_config=BITS[request.param], dtype=torch.float32, device_map={"": "cpu"}
    )
    return request.param, save_checkpoint(tmp_path_factory.mktemp(request.param), model)


@pytest.mark.parametrize("quantization", ["fp32", "bf16", "int8", "nf4"])
def test_a_quantized_checkpoint_is_not_loaded_as_anything_else(stored, quantization):
    form, folder = stored
    with pytest.raises(UserError, match=f"the checkpoint is stored as {form}, not {quantization}; select `native`"):
        load(folder, quantization)


def test_a_quantized_checkpoint_is_loaded_as_it_is(stored, plain):
    """What was quantized before it was saved gives what is quantized while it is loaded."""
    form, folder = stored
    model = load(folder, "native")
    config = json.loads((folder / "config.json").read_text())
    assert real_format(model, "native", stored_format(config)) == form
    np.testing.assert_allclose(residual(model), residual(load(plain, form)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("dtype", "named"), [("float32", "fp32"), ("bfloat16", "bf16"), ("float16", "fp16")])
def test_native_is_the_dtype_of_the_file(plain, tmp_path, dtype, named):
    saved = hf.AutoModelForCausalLM.from_pretrained(plain, dtype=getattr(torch, dtype))
    model = load(save_checkpoint(tmp_path / dtype, saved), "native")
    assert model.dtype == getattr(torch, dtype)
    assert real_format(model, "native", None) == named


@pytest.mark.parametrize("kind", ["llama", "gemma3", "gpt_neo"])
def test_a_format_that_this_device_cannot_run_is_refused(kind, tmp_path):
    """On a processor transformers widens fp8 with a warning. Masks and places of images are no narrow weights."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, which may run fp8")
    folder, narrow = save_checkpoint(tmp_path / "fp8", model_of(kind)), {}
    for key, value in load_file(folder / "model.safetensors").items():
        if "proj" in key and value.ndim == 2 and "vision" not in key and "multi_modal" not in key:
            scale = value.abs().max() / 448
            narrow |= {key: (value / scale).to(torch.float8_e4m3fn), f"{key}_scale_inv": scale.reshape(1, 1).float()}
        else:
            narrow[key] = value.to(torch.bfloat16)
    save_file(narrow, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    fp8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": fp8}))
    with pytest.raises(UserError, match="is stored as fp8, which the installed libraries cannot run on this device"):
        load(folder, "native")


def test_a_format_whose_library_is_not_here_is_refused_in_a_sentence(folder):
    """GPTQ: no library for it is among the requirements."""
    config = json.loads((folder / "config.json").read_text())
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": gptq}))
    with pytest.raises(UserError, match="models.tiny: the checkpoint is stored as gptq, which cannot be run here: "):
        load(folder, "native")


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe", "gpt_oss"])
def test_experts_that_would_stay_wide_are_not_called_quantized(kind, quantization, tmp_path):
    folder = save_checkpoint(tmp_path / kind, built(configuration(kind)))
    with pytest.raises(
        UserError,
        match=rf"as {quantization}, \d+% of the blocks' weights stay as they are, .* 0\.mlp\.experts\.\w+ is none",
    ):
        load(folder, quantization)


def test_weights_that_the_architecture_keeps_in_32_bits_are_not_wrong(tmp_path):
    """The routers of this mixture are built in float32, whatever the model is."""
    model = load(save_checkpoint(tmp_path / "hunyuan", built(configuration("hunyuan_v1_moe"))), "bf16")
    wide = {path for path, weights in model.named_parameters() if weights.dtype == torch.float32}
    assert wide
    assert all(path.endswith("gate.wg.weight") for path in wide)


@pytest.mark.parametrize("kind", ["mixtral", "olmo2", "qwen3_next"])
def test_all_weights_have_the_dtype_that_was_asked_for(kind, tmp_path):
    folder = save_checkpoint(tmp_path / kind, built(configuration(kind)))
    for quantization, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        assert {weights.dtype for weights in load(folder, quantization).parameters()} == {dtype}


def test_random_weights_need_the_shapes_of_a_quantized_checkpoint_alone(stored):
    model = load(stored[1], RANDOM)
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    assert real_format(model, RANDOM, stored[0]) == "fp32"


CONFIGURATION = """
from transformers import LlamaConfig

class OwnConfig(LlamaConfig):
    model_type = "own"
"""

MODELING = """
from transformers import LlamaForCausalLM
from .configuration_own import OwnConfig

class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""


def test_a_model_with_code_of_its_own_runs_if_that_is_trusted(folder, monkeypatch, tmp_path):
    """And is tested as any other: its layers are found by structure, its vectors held against its own plain passes."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    expected = residual(load(folder))
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": own}))
    (folder / "configuration_own.py").write_text(CONFIGURATION)
    (folder / "modeling_own.py").write_text(MODELING)
    check_folder("tiny", folder, formats=["fp32"], trust_remote_code=True)
    with pytest.raises(UserError, match="models.tiny: the model needs code of its own"):
        check_folder("tiny", folder, formats=["fp32"], trust_remote_code=False)
    model = load(folder, trust_remote_code=True)
    assert type(model).__name__ == "OwnForCausalLM"
    np.testing.assert_array_equal(residual(model), expected)
    done = self_test(
        model, decoder_of(model, "tiny"), [[3, 4, 5], [3, 4]], quantization="fp32", batch_tokens=9, name="tiny"
    )
    assert done.layout == Trees()


@pytest.fixture
def opened(folder, tmp_path):
    """A function that opens the model as a job does, with options of a request."""

    def open_it(**options):
        fetch_model("tiny", {"path": str(folder)}, tmp_path / "model.json", None)
        request = {"model": str(tmp_path / "model.json"), "name": "tiny", "quantization": "fp32", "device": "cpu"}
        LoadedModel().load(ModelRequest(**request | options))

    return open_it


def test_files_that_cannot_be_opened_are_told_in_words(folder, opened):
    opened()
    weights = (folder / "model.safetensors").read_bytes()
    for content in (weights[: len(weights) // 2], b"version https://git-lfs.github.com/spec/v1\n"):
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(UserError, match=r"models.tiny: the checkpoint cannot be opened \(.+\)\.$"):
            opened()


def test_a_value_that_a_configuration_cannot_have_is_told_in_words(folder, opened):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": "three"}))
    with pytest.raises(
        UserError, match=r"models.tiny: (the checkpoint|its tokenizer) cannot be opened \(.*num_hidden_layers"
    ):
        opened()


def test_a_tokenizer_that_cannot_be_opened_is_told_in_words(folder, opened):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"models.tiny: its tokenizer cannot be opened \(.+\)\.$"):
        opened()
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("a")
    with pytest.raises(UserError, match=r"there is no tokenizer.json to go by; leave out `tokenizer: file`"):
        opened(tokenizer="file")


def test_a_model_that_failed_to_run_is_not_kept(folder, opened, monkeypatch):
    def fail(model):
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr(LoadedModel, "_first_pass", fail)
    with pytest.raises(UserError, match=r"models.tiny: as fp32 it cannot run a text here \(no kernel\)\.$"):
        opened()
