"""How many tokens a model takes, and beyond how many it reads otherwise: windows, chunks, rotary factors.

``config`` is that of the text model, ``get_text_config()``.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def most_tokens(config: "PretrainedConfig") -> int | None:
    """Return the most tokens of a prompt, None if nothing limits them.

    Where rotary factors grow with the longest pass so far ("dynamic"), vectors beyond the first limit would depend on
    what ran before.
    """
    grows = [
        given.get("original_max_position_embeddings", config.max_position_embeddings)
        for given in _rotary(config)
        if "dynamic" in given["rope_type"]
    ]
    allowed = getattr(config, "max_position_embeddings", None)
    return min((limit for limit in (allowed, *grows) if limit is not None and limit > 0), default=None)


def long_factors(config: "PretrainedConfig") -> int | None:
    """Return the tokens beyond which a pass turns all its positions by long factors ("longrope"), None if never."""
    limits = [
        given["original_max_position_embeddings"] for given in _rotary(config) if given["rope_type"] == "longrope"
    ]
    return min(limits, default=None)


def place_limit(config: "PretrainedConfig") -> int | None:
    """Return the tokens of a pass up to which a model reads by position alone, None if it always does.

    Llama 4 scales queries by their place in the pass, beyond ``floor_scale`` of them.
    """
    return config.floor_scale - 1 if getattr(config, "attn_temperature_tuning", False) else None


def turns_by_length(config: "PretrainedConfig") -> bool:
    """Tell whether a pass may change the model's rotary factors, so that two must not run at the same time."""
    return any(given["rope_type"] == "longrope" or "dynamic" in given["rope_type"] for given in _rotary(config))


def reading_limits(config: "PretrainedConfig") -> list[int]:
    """Return the numbers of tokens beyond which a model reads otherwise, in ascending order."""
    names = ("sliding_window", "attention_chunk_size", "floor_scale", "keep_window_size")
    found = (*(getattr(config, name, None) for name in names), long_factors(config))
    return sorted({limit for limit in found if limit})


def _rotary(config: "PretrainedConfig") -> Iterator[Mapping[str, Any]]:
    """Yield what the config says of rotary embeddings: once, or for each kind of layer."""
    given = getattr(config, "rope_parameters", None) or {}
    for mapping in (given, *given.values()):
        if isinstance(mapping, Mapping) and mapping.get("rope_type"):
            yield mapping
