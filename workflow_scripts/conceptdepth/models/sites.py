"""Where in a transformer block activations are read: sites named by meaning, not by module.

``mlp_input``
    The normalised input of the MLP, after this block's attention: what the reference code reads as the
    output of ``post_attention_layernorm`` in Llama, Qwen and Gemma 1.
``residual``
    The output of the block, before any final normalisation.

The same meaning has another module name in each architecture, and the same module name another meaning
(``post_attention_layernorm`` of Gemma 2 and 3 normalises the *output of attention*), hence this table.
"""

from typing import TYPE_CHECKING, Any

from conceptdepth.ground.errors import UserError, one_of

if TYPE_CHECKING:
    from torch import nn

SITES = ("mlp_input", "residual")
"""Sites that a configuration may name."""

BLOCKS = {
    "llama": "layers",
    "mistral": "layers",
    "qwen2": "layers",
    "qwen3": "layers",
    "gemma": "layers",
    "gemma2": "layers",
    "gemma3": "layers",
    "gemma3_text": "layers",
    "phi3": "layers",
    "gpt2": "h",
    "gpt_neox": "layers",
    "opt": "decoder.layers",
}
"""Model type in the Hugging Face config -> where the model without its head keeps its blocks."""

MLP_INPUT = {
    "gemma2": "pre_feedforward_layernorm",
    "gemma3": "pre_feedforward_layernorm",
    "gemma3_text": "pre_feedforward_layernorm",
    "gpt2": "ln_2",
    "opt": "final_layer_norm",
}
"""Module of a block whose output is ``mlp_input``, where it is not ``post_attention_layernorm``."""


def blocks(body: Any, name: str) -> "nn.ModuleList":
    """Return the transformer blocks of a model without its head.

    Raises `UserError` for an architecture whose sites are not known.
    """
    kind = body.config.model_type
    if kind not in BLOCKS:
        raise UserError(f"models.{name}: the architecture {kind!r} is not supported; supported are {one_of(BLOCKS)}.")
    return body.get_submodule(BLOCKS[kind])


def site_module(site: str, config: Any, name: str) -> str:
    """Return the path inside a block of the module whose output is the site; "" is the block itself.

    Raises `UserError` for a site that the model does not have.
    """
    if site == "residual":
        return ""
    if getattr(config, "use_parallel_residual", False):
        raise UserError(
            f"activations.sites: {name} has no mlp_input, because its blocks run attention and MLP side by side; "
            "use residual."
        )
    if config.model_type == "opt" and not config.do_layer_norm_before:
        return "self_attn_layer_norm"
    return MLP_INPUT.get(config.model_type, "post_attention_layernorm")
