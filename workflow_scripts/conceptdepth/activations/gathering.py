"""What attention gathers in a flat pass: the index tensors of its runs and their paths, on a device."""

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from conceptdepth.activations.trees import Sight, Tree

ROW_TOKENS = 128
"""Tokens of a row, unless one run is longer: attention takes the square of it, but each row gathers its path."""

FEW_ROWS = 8
"""Rows of a pass that are not batched: each then is a stretch of the pass, which need not be copied or padded."""


@dataclass(frozen=True)
class Row:
    """Runs next to each other as one sequence, which attends to what stands before it on their paths and to itself."""

    runs: range
    queries: NDArray[np.int64]
    """Places of their tokens in the pass, (n_tokens,)."""
    keys: NDArray[np.int64]
    """Ascending places of all tokens on their paths, those of earlier passes first, (n_keys,)."""


@dataclass(frozen=True)
class Batch:
    """Rows of about equal size. What shorter ones are padded with is dropped."""

    rows: list[Row]
    queries: torch.Tensor
    """Places of their tokens in the pass, (n_rows, longest row)."""
    keys: torch.Tensor
    """Places of the tokens on their paths, (n_rows, most keys)."""
    owned: torch.Tensor
    """Which places of the flattened queries are not padding, (n_tokens of all rows,)."""


class OnDevice:
    """The index tensors of a tree on a device, each made when it is first wanted."""

    def __init__(self, tree: Tree, device: torch.device) -> None:
        self._tree, self._device = tree, device
        self._runs = tree.ends - tree.starts

    def _put(self, values: NDArray[Any], dtype: torch.dtype = torch.int64) -> torch.Tensor:
        return torch.from_numpy(values).to(self._device, dtype)

    @cached_property
    def keep(self) -> tuple[int, torch.Tensor]:
        """What the next pass needs: how many of the tokens that are kept already, and which tokens of this pass."""
        before = int((self._tree.keep < self._tree.kept).sum())
        return before, self._put(self._tree.keep[before:] - self._tree.kept)

    @cached_property
    def paths(self) -> torch.Tensor:
        """The tokens of this pass on the paths, any where one is kept of an earlier pass, (sum of path lengths,)."""
        return self._put(np.maximum(self._tree.paths - self._tree.kept, 0))

    @cached_property
    def kept(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Where on the paths a token is kept of an earlier pass, and which one that is."""
        where = np.flatnonzero(self._tree.paths < self._tree.kept)
        return self._put(where), self._put(self._tree.paths[where])

    @cached_property
    def run_ends(self) -> torch.Tensor:
        """Cumulative lengths of the runs, from 0, int32."""
        return self._put(np.cumsum([0, *self._runs]), torch.int32)

    @cached_property
    def path_ends(self) -> torch.Tensor:
        """Cumulative lengths of their paths, from 0, int32."""
        return self._put(np.cumsum([0, *self._tree.ends]), torch.int32)

    @cached_property
    def batches(self) -> list[Batch]:
        """The runs as rows of batches."""
        return [
            Batch(
                rows=some,
                queries=self._put(_padded([row.queries for row in some])),
                keys=self._put(_padded([row.keys for row in some])),
                owned=self._put(np.concatenate(_in_table([row.queries for row in some]))),
            )
            for some in _alike(_rows(self._tree))
        ]

    def visible(self, batch: Batch, sight: Sight) -> torch.Tensor:
        """Return which keys each query of a batch attends to, (n_rows, longest row, most keys); padding to none."""
        mask = np.zeros((*batch.queries.shape, batch.keys.shape[1]), dtype=bool)
        for row, seen in zip(batch.rows, mask):
            seen[: len(row.queries), : len(row.keys)] = self._tree.visible_to(row.runs, row.keys, sight)
        return self._put(mask, torch.bool)

    @cached_property
    def back(self) -> torch.Tensor | None:
        """Where each token of the pass stands in the results of all batches, one after another; None: in its place."""
        places = torch.cat([batch.queries.flatten()[batch.owned] for batch in self.batches])
        return None if bool((places.diff() == 1).all()) else places.argsort()


def _rows(tree: Tree) -> list[Row]:
    """Return the runs of a tree as rows."""
    ends = np.cumsum(tree.ends - tree.starts)
    paths, rows, first = tree.each_path, list[Row](), 0
    while first < len(ends):
        begin = int(ends[first - 1]) if first else 0
        after = max(first + 1, int(np.searchsorted(ends, begin + ROW_TOKENS, side="right")))
        queries = np.arange(begin, ends[after - 1])
        rows.append(Row(range(first, after), queries, np.unique(np.concatenate(paths[first:after]))))
        first = after
    return rows


def _alike(rows: list[Row]) -> list[list[Row]]:
    """Return rows to be batched: long ones alone, others with those that have less than twice as many keys."""
    if len(rows) <= FEW_ROWS:
        return [[row] for row in rows]

    def size(row: Row) -> tuple[int, int]:
        long = len(row.queries) > ROW_TOKENS
        return (1, row.runs.start) if long else (0, len(row.keys).bit_length())

    return [list(some) for _, some in groupby(sorted(rows, key=size), key=size)]


def _in_table(rows: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return for each row where its values stand in the flattened table of `_padded`."""
    width = max(map(len, rows))
    return [number * width + np.arange(len(row)) for number, row in enumerate(rows)]


def _padded(rows: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return rows as a table, the shorter ones filled up with their last value."""
    width = max(map(len, rows))
    return np.stack([np.pad(row, (0, width - len(row)), mode="edge") for row in rows])
