"""Packed passes: rows of prefix trees through a model without its head, after the prefix that all prompts share."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import Cache, DynamicLayer

from conceptdepth.activations.packing import Batch
from conceptdepth.models.loading import input_device

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
    with suppress(Finished):
        return body(
            input_ids=torch.from_numpy(batch.tokens).to(device),
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
    config = body.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - {"full_attention"}:
        windows = {"full_attention": None, "sliding_attention": window}
        return {kind: _additive(batch.visible(width), body.dtype, device) for kind, width in windows.items()}
    # Mistral and Phi-3 have a window in every layer, and no layer_types.
    return _additive(batch.visible(None if kinds else window), body.dtype, device)


def _additive(visible: NDArray[np.bool_], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    blocked = torch.from_numpy(~visible)[:, None].to(device)
    return torch.zeros_like(blocked, dtype=dtype).masked_fill(blocked, torch.finfo(dtype).min)
