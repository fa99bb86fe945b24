"""A pass through a model without its head, whose attention is told what belongs together."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from conceptdepth.activations.attention import FlatAttention, Kept, additive
from conceptdepth.activations.trees import Pass, Sight
from conceptdepth.models.devices import input_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Finished(Exception):
    """Ends a forward pass once the last wanted vectors are kept."""


def forward(body: "PreTrainedModel", batch: Pass, kept: Kept | None) -> Any:
    """Run a pass through the model and return its output.

    Hooks take what is wanted from inside; None if one of them ended the pass. ``kept`` has the keys and values of the
    passes before; None gives the model masks instead, for an attention of its own.
    """
    tokens = torch.from_numpy(batch.tokens).to(input_device(body))
    with suppress(Finished):
        if batch.tree is None:
            return body(input_ids=tokens, use_cache=False)
        positions = torch.from_numpy(batch.tree.positions)[None].to(tokens.device)
        sights = sights_of(body.config.get_text_config())
        if kept is None:
            seen = {sight: additive(batch.tree.visible(sight), body.dtype, tokens.device) for sight in sights.values()}
            return _run(body, tokens, positions, {kind: seen[sight] for kind, sight in sights.items()})
        flat = FlatAttention(batch.tree, sights, kept)
        with flat.under_way():
            return _run(body, tokens, positions, flat.masks)
    return None


def _run(body: "PreTrainedModel", tokens: torch.Tensor, positions: torch.Tensor, masks: dict[str, torch.Tensor]) -> Any:
    # Models whose layers differ in attention take one mask per kind of layer.
    mask = masks if len(masks) > 1 else next(iter(masks.values()))
    return body(input_ids=tokens, position_ids=positions, attention_mask=mask, use_cache=False)


def sights_of(config: Any) -> dict[str, Sight]:
    """Return how far each kind of layer of a model sees."""
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    if not kinds:  # Mistral and Phi-3 have a window in every layer, and no kinds.
        return {"all": Sight(window=window or None)}
    if kinds == {"full_attention"}:
        return {"full_attention": Sight()}
    # A kind that no layer has is given too, as models may ask for both.
    sights = {"full_attention": Sight()}
    if window:
        sights["sliding_attention"] = Sight(window=window)
    if "chunked_attention" in kinds:
        sights["chunked_attention"] = Sight(chunk=config.attention_chunk_size)
    return sights
