"""Small random models of the architectures of transformers, by where their MLP's input comes from.

Each is built from the configuration class of its type with sizes of `SIZES`, as far as the class has such keys. What
norm stands before the MLP was read in the library's source: it is the reference that the sites are held against.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

import torch
import transformers as hf
from conceptdepth.models.architectures import speaks_through_wrapper
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

SIZES = {
    "vocab_size": 97, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "hidden_size": 32, "n_embd": 32, "d_model": 32, "word_embed_proj_dim": 32,
    "intermediate_size": 48, "ffn_dim": 48, "n_inner": 48,
    "num_hidden_layers": 4, "n_layer": 4, "n_layers": 4,
    "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "rotary_dim": 8,
    "max_position_embeddings": 64, "n_positions": 64, "sliding_window": 6,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2,
    "moe_k": 2, "moe_topk": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
    "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
    "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "mamba_n_heads": 4, "mamba_num_heads": 4, "mamba_d_state": 8, "mamba_d_head": 16, "mamba_head_dim": 16,
    "mamba_n_groups": 1, "mamba_expand": 2, "mamba_chunk_size": 8, "chunk_size": 8, "ssm_state_size": 8,
    "state_size": 8, "n_groups": 1, "time_step_rank": 8, "lru_width": 32, "attention_window_size": 6,
    "attention_hidden_size": 32,
}  # fmt: skip

LATENT = {"num_key_value_heads": 4}
"""Latent attention has as many keys as queries."""

MIXED = {"layer_types": ["conv", "full_attention", "conv", "full_attention"]}

OTHERWISE: Mapping[str, Mapping[str, Any]] = {
    "axk1": LATENT, "deepseek_v2": LATENT | {"head_dim": 8}, "deepseek_v3": LATENT, "deepseek_v32": LATENT,
    "glm4_moe_lite": LATENT, "glm_moe_dsa": LATENT, "minicpm3": LATENT, "youtu": LATENT,
    "lfm2": MIXED, "lfm2_moe": MIXED | {"num_dense_layers": 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention", "mamba", "attention"]},
    "falcon_h1": {"mamba_d_ssm": 64},
    "mamba2": {"num_heads": 4, "head_dim": 16},
    "zaya": {"num_experts_per_tok": 1},
    "gemma3_text": {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "gemma4_text": {"vocab_size_per_layer_input": 97, "hidden_size_per_layer_input": 8, "global_head_dim": 8},
    "gpt_neox": {"use_parallel_residual": False},
    "modernbert-decoder": {"local_attention": 12},
    "llama4_text": {"attention_chunk_size": 8},
}  # fmt: skip
"""Keys that a type needs otherwise."""

VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "falcon, one after the other": (
        "falcon",
        {"parallel_attn": False, "new_decoder_architecture": False, "alibi": True},
    ),
    "gpt_neox, parallel": ("gpt_neox", {"use_parallel_residual": True}),
    "stablelm, parallel": ("stablelm", {"use_parallel_residual": True}),
    "opt, post-norm": ("opt", {"do_layer_norm_before": False}),
    "qwen2, windows": (
        "qwen2",
        {"use_sliding_window": True, "max_window_layers": 2, "sliding_window": 6},
    ),
    "starcoder2, no window": ("starcoder2", {"sliding_window": None}),
    "gemma4, shared keys": (
        "gemma4_text",
        {
            "vocab_size_per_layer_input": 97,
            "hidden_size_per_layer_input": 8,
            "global_head_dim": 8,
            "num_hidden_layers": 6,
        }
        | {"num_kv_shared_layers": 3, "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2},
    ),
}
"""Types under another flag: name here -> type and keys."""

AS_LLAMA = (
    "arcee aria_text axk1 bailing_hybrid bitnet bloom cwm deepseek_v2 deepseek_v3 deepseek_v32 diffllama doge dots1 ernie4_5 "
    "ernie4_5_moe exaone_moe flint gemma glm glm4 glm4_moe glm4_moe_lite glm_moe_dsa gpt_neox gpt_neox_japanese gpt_oss "
    "granite granite_swa granitemoe granitemoe_swa granitemoehybrid granitemoeshared helium hunyuan_v1_dense "
    "hunyuan_v1_moe hy_v3 hyperclovax kolibri1 zaya inkling_text internlm3 iquestcoder jais2 jetmoe laguna llama llama4_text mellum "
    "mimo_v2_flash minicpm3 minimax minimax_m2 minimax_m3_vl_text ministral ministral3 mistral mixtral nanochat "
    "nemotron olmo olmoe persimmon phi3 phimoe qwen2 qwen2_moe qwen3 qwen3_5_moe_text qwen3_5_text qwen3_moe qwen3_next "
    "seed_oss smollm3 solar_open stablelm starcoder2 youtu"
).split()

NORMS = {
    **dict.fromkeys(AS_LLAMA, "post_attention_layernorm"),
    "falcon, one after the other": "post_attention_layernorm",
    "qwen2, windows": "post_attention_layernorm",
    "starcoder2, no window": "post_attention_layernorm",
    "afmoe": "pre_mlp_layernorm",
    "apertus": "feedforward_layernorm",
    **dict.fromkeys(("bamba", "falcon_h1", "jamba"), "pre_ff_layernorm"),
    **dict.fromkeys(("beam", "gemma2", "gemma3_text", "gemma4_text", "vaultgemma"), "pre_feedforward_layernorm"),
    "gemma4_unified_text": "pre_feedforward_layernorm",
    "gemma4, shared keys": "pre_feedforward_layernorm",
    **dict.fromkeys(("biogpt", "opt", "xglm"), "final_layer_norm"),
    "opt, post-norm": "self_attn_layer_norm",
    "ctrl": "layernorm2",
    **dict.fromkeys(("gpt2", "gpt_bigcode", "gpt_neo"), "ln_2"),
    **dict.fromkeys(("lfm2", "lfm2_moe", "lfm3"), "ffn_norm"),
    "modernbert-decoder": "mlp_norm",
    "mpt": "norm_2",
    "recurrent_gemma": "channel_pre_norm",
    "xlstm": "norm_ffn",
}
"""By type: the norm of a block whose output the MLP gets, after attention."""

POST_NORMS = dict.fromkeys(("exaone4", "flex_olmo", "olmo2", "olmo3"), "post_attention_layernorm")
"""By type without a norm before the MLP: the norm of attention's output, which is added to the stream."""

PARALLEL = (
    "codegen", "cohere", "cohere2", "cohere2_moe", "falcon", "gptj", "phi", "gpt_neox, parallel", "stablelm, parallel",
    "aya_vision", "cohere2_vision",
)  # fmt: skip
"""Types whose attention and MLP run side by side: they have no ``mlp_input``."""

WITHOUT_MLP = ("falcon_mamba", "mamba", "mamba2", "nemotron_h")
"""Types with blocks that are no pair of attention, or what stands in its place, and MLP."""

AS_THEY_ARE = {
    "bailing_hybrid", "bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "inkling_text", "jamba", "lfm2", "lfm2_moe",
    "lfm3", "mamba", "mamba2", "minimax", "nemotron_h", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_next",
    "recurrent_gemma", "xlstm", "zaya",  # Recurrent, in all or some layers.
    "deepseek_v32", "glm_moe_dsa",  # Attention to tokens that an indexer picks.
    "bloom", "falcon, one after the other", "mpt",  # Positions by distance in the pass.
    "gpt_neo",  # Windows by distance in the pass.
}  # fmt: skip
"""Types that get no prefix trees."""

OWN_ATTENTION = {"codegen", "falcon", "gpt_neox_japanese", "gptj", "xglm"}
"""Types that do not ask transformers for the function that computes attention: they get prefix trees with masks."""

OWN_MASKS = {"doge"}
"""Types that ask for it with masks of their own, as their self-test finds out: they get prefix trees with masks, too."""

SIGHT = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14, "depth": 1, "embed_dim": 16, "num_heads": 2, "out_hidden_size": 32, "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0], "fullatt_block_indexes": [0], "num_key_value_heads": 2, "projection_dim": 16,
    "window_size": 28, "head_dim": 8,
}  # fmt: skip
"""Sizes of a tower that sees."""

WRAPPERS = (
    "aya_vision", "cohere2_vision", "gemma3", "gemma4", "idefics3", "internvl", "llava", "llava_next", "llava_onevision",
    "mistral3", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "smolvlm",
)  # fmt: skip
"""Types of text and images, of which the text tower is read."""


CLASSES: Mapping[str, tuple[str, ...]] = {
    "norm before the MLP": tuple(NORMS),
    "post-norm": tuple(POST_NORMS),
    "parallel": tuple(name for name in PARALLEL if name not in WRAPPERS),
    "without MLP": WITHOUT_MLP,
}


def configuration(name: str) -> hf.PretrainedConfig:
    """Return the configuration of a small model of a type, or of one of `VARIANTS`."""
    kind, more = VARIANTS.get(name, (name, OTHERWISE.get(name, {})))
    known = {field.name for field in fields(CONFIG_MAPPING[kind])}
    return CONFIG_MAPPING[kind](**{key: value for key, value in SIZES.items() if key in known} | more)


def wrapped(kind: str) -> hf.PretrainedConfig:
    """Return the configuration of a small model of text and images."""
    default = CONFIG_MAPPING[kind]()
    text = configuration(default.text_config.model_type).to_dict()
    if kind.startswith("qwen"):  # Time, height and width of images.
        text["rope_parameters"] = default.text_config.rope_parameters | {"mrope_section": [2, 1, 1]}
    towers = {}
    if default.vision_config is not None:
        sight = default.vision_config.to_dict()
        towers["vision_config"] = sight | {key: SIGHT[key] for key in SIGHT if key in sight}
    return CONFIG_MAPPING[kind](text_config=text, **towers)


def built(config: hf.PretrainedConfig, seed: int = 0) -> hf.PreTrainedModel:
    """Return a model with random weights: larger ones than a training begins with, which would hide attention errors."""
    torch.manual_seed(seed)
    images = speaks_through_wrapper(config.model_type)
    model = (hf.AutoModelForImageTextToText if images else hf.AutoModelForCausalLM).from_config(config)
    for weights in model.parameters():
        if weights.ndim > 1:
            weights.data.normal_(std=0.2)
    return model.eval()


@cache
def model_of(name: str) -> hf.PreTrainedModel:
    """Return a small model of a type, of one of `VARIANTS` or of `WRAPPERS`."""
    return built(wrapped(name) if name in WRAPPERS else configuration(name))


def encoders_with_decoders() -> list[str]:
    """Return the types with a causal class that are an encoder with a decoder unless their config says otherwise."""
    return [
        kind
        for kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        if getattr(CONFIG_MAPPING[kind], "is_encoder_decoder", False) is True
    ]
