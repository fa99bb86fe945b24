"""Packed passes: rows of prefix trees through a model without its head, after the prefix that all prompts share."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import Cache, DynamicLayer

from conceptdepth.activations.packing import Batch, Near, everywhere, same_chunk, within
from conceptdepth.models.devices import input_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Finished(Exception):
    """Ends a forward pass once the last wanted vectors are kept."""


class PrefixLayer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed.
    """The keys and values of one layer for the prefix: kept once, and put before those of every later pass."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values, each (n_rows, n_heads, prefix + width, d_head)."""
        if not self.is_initialized:
            return super().update(key_states, value_states)
        pairs = ((self.keys, key_states), (self.values, value_states))
        keys, values = (torch.cat([kept.expand(len(new), -1, -1, -1), new], dim=-2) for kept, new in pairs)
        return keys, values


def forward(body: "PreTrainedModel", batch: Batch, cache: Cache | None = None) -> Any:
    """Run a batch through the model, after the prefix in ``cache``, and return its output.

    Hooks take what is wanted from inside; None if one of them ended the pass.
    """
    device = input_device(body)
    tokens = torch.from_numpy(batch.tokens).to(device)
    with suppress(Finished):
        if not batch.is_tree:
            return body(input_ids=tokens, use_cache=False)
        return body(
            input_ids=tokens,
            position_ids=torch.from_numpy(batch.positions).to(device),
            attention_mask=_attention_mask(body, batch, device),
            past_key_values=cache,
            use_cache=cache is not None,
        )
    return None


def _attention_mask(
    body: "PreTrainedModel", batch: Batch, device: torch.device
) -> torch.Tensor | dict[str, torch.Tensor]:
    """Return the trees as additive attention masks, each (n_rows, 1, width, prefix + width).

    Models whose layers differ in attention take one mask per kind of layer.
    """
    near = _near(body.config.get_text_config())
    masks = {kind: _additive(batch.visible(near[kind]), body.dtype, device) for kind in near}
    return masks if len(masks) > 1 else next(iter(masks.values()))


def _near(config: Any) -> dict[str, Near]:
    """Return how far each kind of layer of a model sees."""
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    if not kinds:  # Mistral and Phi-3 have a window in every layer, and no kinds.
        return {"all": within(window) if window else everywhere}
    if kinds == {"full_attention"}:
        return {"full_attention": everywhere}
    # A kind that no layer has is given too, as models may ask for both.
    near: dict[str, Near] = {"full_attention": everywhere}
    if window:
        near["sliding_attention"] = within(window)
    if "chunked_attention" in kinds:
        near["chunked_attention"] = same_chunk(config.attention_chunk_size)
    return near


def _additive(visible: NDArray[np.bool_], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    blocked = torch.from_numpy(~visible)[:, None].to(device)
    return torch.zeros_like(blocked, dtype=dtype).masked_fill(blocked, torch.finfo(dtype).min)
