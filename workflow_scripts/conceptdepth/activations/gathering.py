"""What attention gathers in a flat pass: the index tensors of its runs and their paths, on a device."""

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from conceptdepth.activations.trees import Tree

LONG_RUN = 64
"""Tokens from which on a run is a batch of its own, as padding it to another's length would cost more than it saves."""


@dataclass(frozen=True)
class Batch:
    """Runs of about equal size, as the rows of a batch. What shorter ones are padded with is dropped."""

    queries: torch.Tensor
    """Places of their tokens in the pass, (n_runs, longest run)."""
    keys: torch.Tensor
    """Places of the tokens on their paths, (n_runs, longest path)."""
    positions: torch.Tensor
    """Positions of the queries, as ``queries``."""
    owned: torch.Tensor
    """Which places of the flattened queries are not padding, (n_tokens of all runs,)."""


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
        """The runs as batches."""
        paths, firsts = self._tree.each_path(), np.cumsum(self._runs) - self._runs
        return [
            Batch(
                queries=self._put(_padded([np.arange(firsts[run], firsts[run] + self._runs[run]) for run in some])),
                keys=self._put(_padded([paths[run] for run in some])),
                positions=self._put(_padded([np.arange(self._tree.starts[run], self._tree.ends[run]) for run in some])),
                owned=self._put(np.flatnonzero(np.arange(self._runs[some].max()) < self._runs[some][:, None])),
            )
            for some in _alike(self._tree)
        ]

    @cached_property
    def back(self) -> torch.Tensor:
        """Where each token of the pass stands in the results of all batches, one after another."""
        return torch.cat([batch.queries.flatten()[batch.owned] for batch in self.batches]).argsort()


def _alike(tree: Tree) -> list[NDArray[np.int64]]:
    """Return runs to be batched: long ones alone, short ones with others that are less than twice as long."""
    sizes = [
        (1, run, 0) if end - start >= LONG_RUN else (0, int(end - start).bit_length(), int(end).bit_length())
        for run, (start, end) in enumerate(zip(tree.starts, tree.ends))
    ]
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    return [np.array(list(some)) for _, some in groupby(order, key=sizes.__getitem__)]


def _padded(rows: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return rows as a table, the shorter ones filled up with their last value."""
    width = max(map(len, rows))
    return np.stack([np.pad(row, (0, width - len(row)), mode="edge") for row in rows])
