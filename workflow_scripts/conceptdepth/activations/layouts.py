"""Ways to lay prompts out in passes: as prefix trees where attention can be told what it may see, else as they are."""

import inspect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from conceptdepth.activations.packing import ROW_TOKENS, Batch, Tokens, batches, pack, split_prefix
from conceptdepth.models.architectures import LOCAL_BY_PLACE
from conceptdepth.models.limits import long_factors

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTENTION = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
"""Kinds of layers that take a mask of ours; any other keeps a state of all that it has read."""


class Layout(Protocol):
    """A way to lay prompts out."""

    name: str
    """What logs and records call it."""

    def split(self, prompts: Sequence[Tokens]) -> tuple[Tokens, list[Tokens]]:
        """Return a prefix that gets a pass of its own, and what remains of each prompt."""

    def passes(self, prompts: Sequence[Tokens], *, offset: int, capacity: int) -> Iterator[Batch]:
        """Yield passes of at most ``capacity`` tokens, or of one prompt, that follow a prefix of ``offset`` tokens."""


@dataclass(frozen=True)
class Trees:
    """Prefix trees: what prompts share is computed once (`conceptdepth.activations.packing`)."""

    name = "prefix trees"
    with_prefix: bool = True
    """Whether the prefix that all prompts share gets a pass of its own."""
    row_tokens: int | None = None
    """Tokens of a row; None is `conceptdepth.activations.packing.ROW_TOKENS`."""

    def split(self, prompts: Sequence[Tokens]) -> tuple[Tokens, list[Tokens]]:
        """See `Layout`."""
        return split_prefix(prompts) if self.with_prefix else ([], list(prompts))

    def passes(self, prompts: Sequence[Tokens], *, offset: int, capacity: int) -> Iterator[Batch]:
        """See `Layout`."""
        rows = pack(prompts, min(self.row_tokens or ROW_TOKENS, capacity))
        yield from batches(rows, offset=offset, capacity=capacity)


@dataclass(frozen=True)
class EqualLengths:
    """Whole prompts beside others of the same length: no mask and no padding, so that no model can see a neighbour."""

    name = "prompts of equal length"

    def split(self, prompts: Sequence[Tokens]) -> tuple[Tokens, list[Tokens]]:
        """See `Layout`."""
        return [], list(prompts)

    def passes(self, prompts: Sequence[Tokens], *, offset: int, capacity: int) -> Iterator[Batch]:
        """See `Layout`."""
        # Longest first, as with trees, so that memory runs out early.
        order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
        for _, same in itertools.groupby(order, key=lambda index: len(prompts[index])):
            rows = [replace(pack([prompts[index]], 1)[0], prompts=np.array([index])) for index in same]
            for batch in batches(rows, offset=offset, capacity=capacity):
                yield replace(batch, is_tree=False)


def layout_of(body: "PreTrainedModel") -> Layout:
    """Return the layout that a model's architecture allows: trees, unless its layers read without asking a mask."""
    config = body.config.get_text_config()
    by_mask = set(getattr(config, "layer_types", None) or ()) <= ATTENTION and not body._is_stateful
    by_place = config.model_type in LOCAL_BY_PLACE or getattr(config, "alibi", False)
    by_position = "position_ids" in inspect.signature(body.forward).parameters
    return Trees() if by_mask and by_position and not by_place else EqualLengths()


def parts(layout: Layout, body: "PreTrainedModel", tokens: Sequence[Tokens]) -> list[tuple[Layout, NDArray[np.int64]]]:
    """Return which prompts may share passes, and laid out how.

    With long-context factors ("longrope" of Phi-3) a pass turns all its tokens by those of its longest prompt. So
    prompts on both sides of the limit never share one, and those beyond it no prefix, whose pass would be short.
    """
    lengths = np.array([len(prompt) for prompt in tokens])
    limit = long_factors(body.config.get_text_config())
    if limit is None or lengths.max() <= limit or not isinstance(layout, Trees):
        return [(layout, np.arange(len(tokens)))]
    short, long = np.flatnonzero(lengths <= limit), np.flatnonzero(lengths > limit)
    sides = [(layout, short), (replace(layout, with_prefix=False), long)]
    return [(layout, prompts) for layout, prompts in sides if len(prompts)]
