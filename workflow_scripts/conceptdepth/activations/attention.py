"""Attention of flat passes: each run of new tokens attends to its path, wherever the tokens on it stand.

Models ask transformers for the function that computes attention. While a flat pass runs in a thread they are given
one that gathers keys and values along the paths of the runs first: either for PyTorch's variable-length flash kernel,
or as batches for the model's own function, which knows what else it does (soft caps, sinks, grouped heads, scales).
"""

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from conceptdepth.activations.gathering import OnDevice
from conceptdepth.activations.trees import Sight, Tree

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # Before PyTorch 2.10.
    varlen_attn = None  # type: ignore[assignment]

HARMLESS = frozenset(
    {"scaling", "dropout", "sliding_window", "is_causal", "position_ids", "use_cache", "cache_position"}
)
"""What models tell their attention that the flash kernel need not know: those with anything else get their own."""

Attention = Callable[..., tuple[torch.Tensor, Any]]
"""An attention function of transformers: module, query, key, value (1, n_heads, n_tokens, d_head), mask; and more."""

Pair = tuple[torch.Tensor, torch.Tensor]
"""Keys and values, each (1, n_heads, n_tokens, d_head) unless something else is said."""


class Kept(list[Pair]):
    """Keys and values of earlier passes on the path to the next one, in the order in which attention is computed."""

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        super().__init__(pairs)
        self.kernels = set[str]()
        """What has computed attention."""


class FlatAttention:
    """The attention of one flat pass, for all layers of a model."""

    def __init__(self, tree: Tree, sights: Mapping[str, Sight], kept: Kept) -> None:
        self._tree, self._before, self._kept = tree, kept[:], kept
        kept.clear()
        self._sights = list(sights.values())
        self._call = 0
        self._on: dict[torch.device, OnDevice] = {}
        self._additive: dict[tuple[Sight, torch.dtype, OnDevice], list[torch.Tensor]] = {}
        # No mask has this type, and none has no keys: what a model does with masks before attention would be seen.
        self.masks = {
            kind: torch.empty((1, 1, number, 0), dtype=torch.int8) for number, kind in enumerate(sights, start=1)
        }
        """By kind of layer: what a model is given as its mask, which tells the kind by its shape."""

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Serve the models that run in this thread."""
        _thread.flat = self
        try:
            yield
        finally:
            _thread.flat = None

    def attend(
        self,
        own: Attention,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **named: Any,
    ) -> tuple[torch.Tensor, None]:
        """Return attention, (1, n_tokens, n_heads, d_head); ``own`` is the function that the model asked for."""
        mask = attention_mask
        if mask is None or mask.dtype != torch.int8 or mask.shape[3] != 0:
            raise ValueError("the model makes masks of its own of those that it is given")
        sight, on, states = self._sights[mask.shape[2] - 1], self._on_device(query.device), (key, value)
        before = self._before[self._call] if self._tree.kept else None
        self._call += 1
        if len(self._tree.keep):
            self._kept.append(_for_the_next(states, before, on))
        if own is sdpa_attention_forward and flash_serves(query, key, value, sight, named):
            self._kept.kernels.add("varlen_flash")
            return self._flash(query, _along_paths(states, before, on), sight, named.get("scaling"), on), None
        self._kept.kernels.add(own.__name__)
        if before is not None:
            states = (torch.cat([before[0], key], dim=2), torch.cat([before[1], value], dim=2))
        return self._in_batches(partial(own, module, **named), query, states, sight, on), None

    def _flash(
        self, query: torch.Tensor, along_paths: Pair, sight: Sight, scaling: float | None, on: OnDevice
    ) -> torch.Tensor:
        """Return attention; keys and values stand along the paths, (sum of path lengths, n_heads, d_head)."""
        found = varlen_attn(
            query[0].transpose(0, 1),
            *along_paths,
            on.run_ends,
            on.path_ends,
            int((self._tree.ends - self._tree.starts).max()),
            int(self._tree.ends.max()),
            scale=scaling,
            window_size=(-1 if sight.window is None else sight.window - 1, 0),
            **_grouped(),
        )
        return found[None]  # type: ignore[call-overload,no-any-return]  # A tensor, as nothing else is asked for.

    def _in_batches(
        self, own: Attention, query: torch.Tensor, states: Pair, sight: Sight, on: OnDevice
    ) -> torch.Tensor:
        """Return attention; keys and values have the kept ones before them, (1, n_heads, kept + n_tokens, d_head)."""
        found = []
        for batch, mask in zip(on.batches, self._masks(sight, query.dtype, on)):
            keys, values = (_rows(those, [row.keys for row in batch.rows], batch.keys) for those in states)
            queries = _rows(query, [row.queries for row in batch.rows], batch.queries)
            attended = own(queries, keys, values, mask)[0].flatten(0, 1)
            found.append(attended if len(batch.rows) == 1 else attended[batch.owned])
        together = torch.cat(found)
        return (together if on.back is None else together.index_select(0, on.back))[None]

    def _masks(self, sight: Sight, dtype: torch.dtype, on: OnDevice) -> list[torch.Tensor]:
        """Return an additive mask for each batch, (n_rows, 1, longest row, most keys)."""
        which = (sight, dtype, on)
        if which not in self._additive:
            self._additive[which] = [_additive(on.visible(batch, sight), dtype) for batch in on.batches]
        return self._additive[which]

    def _on_device(self, device: torch.device) -> OnDevice:
        if device not in self._on:
            self._on[device] = OnDevice(self._tree, device)
        return self._on[device]


def additive(visible: NDArray[np.bool_], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return what each token attends to, (n_tokens, n_keys), as an additive mask (1, 1, n_tokens, n_keys)."""
    return _additive(torch.from_numpy(visible)[None].to(device), dtype)


def flash_serves(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, sight: Sight, named: Mapping[str, Any]
) -> bool:
    """Tell whether the variable-length flash kernel computes what is asked."""
    told = {name for name, given in named.items() if given is not None}
    width = query.shape[-1]
    return (
        varlen_attn is not None
        and query.is_cuda
        and query.dtype in (torch.float16, torch.bfloat16)
        and key.dtype == value.dtype == query.dtype
        and key.shape[-1] == value.shape[-1] == width <= 256
        and width % 8 == 0
        and sight.chunk is None
        and told <= HARMLESS
        and not named.get("dropout")
        and named.get("is_causal") is not False
    )


def _for_the_next(states: Pair, before: Pair | None, on: OnDevice) -> Pair:
    """Return keys and values on the path to the next pass: the first ones of those kept already, then new ones."""
    number, places = on.keep
    keys, values = (those.index_select(2, places) for those in states)
    if before is None:
        return keys, values
    return torch.cat([before[0][:, :, :number], keys], dim=2), torch.cat([before[1][:, :, :number], values], dim=2)


def _along_paths(states: Pair, before: Pair | None, on: OnDevice) -> tuple[torch.Tensor, torch.Tensor]:
    """Return keys and values along the paths, each (sum of path lengths, n_heads, d_head)."""
    found = []
    for those, kept in zip(states, before or (None, None)):
        # Without the kept ones before them, whose concatenation would copy all: rows in one piece are gathered fast.
        along = those[0].transpose(0, 1).contiguous().index_select(0, on.paths)
        if kept is not None:
            where, which = on.kept
            along.index_copy_(0, where, kept[0].transpose(0, 1).index_select(0, which))
        found.append(along)
    return found[0], found[1]


def _rows(states: torch.Tensor, rows: Sequence[NDArray[np.int64]], table: torch.Tensor) -> torch.Tensor:
    """Gather (1, n_heads, n_tokens, d) at the places of rows, padded in a table, as (n_rows, n_heads, length, d)."""
    first, last = rows[0][0], rows[0][-1]
    if len(rows) == 1 and last - first + 1 == len(rows[0]):
        return states[:, :, first : last + 1]  # In one piece.
    return states[0].index_select(1, table.flatten()).unflatten(1, table.shape).transpose(0, 1)


def _additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros_like(visible, dtype=dtype).masked_fill(~visible, torch.finfo(dtype).min)[:, None]


@cache
def _grouped() -> dict[str, Any]:
    """Return what tells the flash kernel that several queries may share a key: before PyTorch 2.12 it is not asked."""
    return {"enable_gqa": True} if "enable_gqa" in inspect.signature(varlen_attn).parameters else {}


class _Thread(threading.local):
    flat: FlatAttention | None = None


_thread = _Thread()


@cache
def _served(own: Attention) -> Attention:
    """Return a function that computes what ``own`` does, but of a flat pass."""

    def attend(module: torch.nn.Module, *states: Any, **named: Any) -> tuple[torch.Tensor, Any]:
        flat = _thread.flat
        return own(module, *states, **named) if flat is None else flat.attend(own, module, *states, **named)

    return torch.compiler.disable(attend)  # Gathering and one kernel: nothing to fuse.


_own_interface = AttentionInterface.get_interface


def _interface(self: AttentionInterface, name: str, default: Attention) -> Attention:
    own = _own_interface(self, name, default)
    return own if _thread.flat is None else _served(own)


AttentionInterface.get_interface = torch.compiler.disable(_interface)
