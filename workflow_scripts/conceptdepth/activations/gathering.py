"""What attention gathers in a flat pass: the index tensors of its runs and their paths, on a device."""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class OnDevice:
    """The index tensors of a tree on a device."""

    paths: torch.Tensor
    keep: torch.Tensor
    run_ends: torch.Tensor
    """Cumulative lengths of the runs, from 0, int32."""
    path_ends: torch.Tensor
    """Cumulative lengths of their paths, from 0, int32."""
    batches: list[Batch]
    back: torch.Tensor
    """Where each token of the pass stands in the results of all batches, one after another."""


def on_device(tree: Tree, device: torch.device) -> OnDevice:
    """Return the index tensors of a tree."""

    def put(values: NDArray[Any], dtype: torch.dtype = torch.int64) -> torch.Tensor:
        return torch.from_numpy(values).to(device, dtype)

    runs = tree.ends - tree.starts
    firsts, paths = np.cumsum(runs) - runs, tree.each_path()
    batches, places = list[Batch](), list[NDArray[np.int64]]()
    for some in _alike(tree):
        queries = _padded([np.arange(firsts[run], firsts[run] + runs[run]) for run in some])
        positions = _padded([np.arange(tree.starts[run], tree.ends[run]) for run in some])
        owned = np.flatnonzero(np.arange(queries.shape[1]) < runs[some][:, None])
        places.append(queries.flatten()[owned])
        batches.append(Batch(put(queries), put(_padded([paths[run] for run in some])), put(positions), put(owned)))
    return OnDevice(
        paths=put(tree.paths),
        keep=put(tree.keep),
        run_ends=put(np.cumsum([0, *runs]), torch.int32),
        path_ends=put(np.cumsum([0, *tree.ends]), torch.int32),
        batches=batches,
        back=put(np.argsort(np.concatenate(places))),
    )


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
