"""Ways to lay prompts out in passes: as prefix trees where attention can be told what it may see, else as they are."""

import inspect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from conceptdepth.activations.trees import Pass, Tokens, flat_passes
from conceptdepth.models.architectures import LOCAL_BY_PLACE
from conceptdepth.models.limits import long_factors, place_limit

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTENTION = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
"""Kinds of layers that can be told what to attend to; any other keeps a state of all that it has read."""

MASKED_TOKENS = 1024
"""Most tokens of a pass whose attention takes a mask of all pairs of them."""


class Layout(Protocol):
    """A way to lay prompts out."""

    @property
    def name(self) -> str:
        """What logs and records call it."""

    @property
    def keeping(self) -> bool:
        """Whether passes need keys and values of those before them."""

    @property
    def compiled(self) -> bool:
        """Whether the blocks run compiled (`conceptdepth.models.fused`)."""

    def passes(self, prompts: Sequence[Tokens], capacity: int) -> Iterator[Pass]:
        """Yield passes of at most ``capacity`` tokens, or of one prompt."""


@dataclass(frozen=True)
class Trees:
    """Flat passes (`conceptdepth.activations.trees`), whose attention gathers each run's path."""

    keeping = True
    compiled: bool = False
    most: int | None = None
    """Tokens of a pass beyond which places in it count (`conceptdepth.models.limits.place_limit`)."""

    @property
    def name(self) -> str:
        """See `Layout`."""
        return "prefix trees, compiled" if self.compiled else "prefix trees"

    def passes(self, prompts: Sequence[Tokens], capacity: int) -> Iterator[Pass]:
        """See `Layout`."""
        return flat_passes(prompts, capacity=min(capacity, self.most or capacity), keeping=self.keeping)


@dataclass(frozen=True)
class MaskedTrees:
    """Flat passes with a mask of all pairs of tokens, for models with an attention of their own."""

    name = "prefix trees with masks"
    keeping = compiled = False
    most: int = MASKED_TOKENS

    def passes(self, prompts: Sequence[Tokens], capacity: int) -> Iterator[Pass]:
        """See `Layout`."""
        return flat_passes(prompts, capacity=min(capacity, self.most), keeping=self.keeping)


@dataclass(frozen=True)
class EqualLengths:
    """Whole prompts beside others of the same length: no mask and no padding, so that no model can see a neighbour."""

    name = "prompts of equal length"
    keeping = compiled = False

    def passes(self, prompts: Sequence[Tokens], capacity: int) -> Iterator[Pass]:
        """See `Layout`."""
        # Longest first, so that memory runs out early.
        order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
        for length, group in itertools.groupby(order, key=lambda index: len(prompts[index])):
            same, rows = np.array(list(group)), max(1, capacity // length)
            for some in np.split(same, range(rows, len(same), rows)):
                yield Pass(np.array([prompts[index] for index in some]), some, np.arange(1, len(some) + 1) * length - 1)


def layouts_of(body: "PreTrainedModel") -> list[Layout]:
    """Return the layouts that a model's architecture allows, the fastest first: the self-test has the last word."""
    config = body.config.get_text_config()
    by_kind = set(getattr(config, "layer_types", None) or ()) <= ATTENTION and not body._is_stateful
    by_place = config.model_type in LOCAL_BY_PLACE or getattr(config, "alibi", False)
    by_position = "position_ids" in inspect.signature(body.forward).parameters
    if not by_kind or by_place or not by_position:
        return [EqualLengths()]
    most = place_limit(config)
    by_interface: list[Layout] = [Trees(most=most)] if body._can_set_attn_implementation() else []
    return [*by_interface, MaskedTrees(min(MASKED_TOKENS, most or MASKED_TOKENS)), EqualLengths()]


def parts(layout: Layout, body: "PreTrainedModel", tokens: Sequence[Tokens]) -> list[tuple[Layout, NDArray[np.int64]]]:
    """Return which prompts may share passes, and laid out how.

    With long-context factors ("longrope" of Phi-3) a pass turns all its tokens by those of its longest prompt. So
    prompts on both sides of the limit never share one, and those beyond it stay whole, since a part would be short.
    Where places in a pass count (`place_limit`), prompts beyond that limit stay whole, too.
    """
    lengths = np.array([len(prompt) for prompt in tokens])
    config = body.config.get_text_config()
    limit = min(filter(None, (long_factors(config), place_limit(config))), default=None)
    if limit is None or lengths.max() <= limit:
        return [(layout, np.arange(len(tokens)))]
    sides = [(layout, np.flatnonzero(lengths <= limit)), (EqualLengths(), np.flatnonzero(lengths > limit))]
    return [(layout, prompts) for layout, prompts in sides if len(prompts)]
