"""What is read of a pass at each position: one token of a prompt, or the mean over several.

The tokens of a mean lie on the path of their prompt, partly in beginnings that it shares with others, partly perhaps in
an earlier pass. So a mean is made in two steps: the pass is cut into pieces wherever the tokens of one mean begin or
end, or leave one run for another, and each piece is summed once; a mean is then a sum of few pieces. Nothing is
subtracted, as from cumulative sums, so that a first token with a vector a thousand times as long as the others' costs
no digits of theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding_bag

from conceptdepth.activations.trees import Pass

Places = NDArray[np.int64]


class Reading:
    """The places of a pass that are read, by position, and how vectors are made of those that stand there.

    Places count the tokens of earlier passes first that are on the path to this one, of which ``vectors`` has those of
    the pass alone and ``earlier`` the others.
    """

    def __init__(self, batch: Pass, positions: Mapping[str, Sequence[Places]]) -> None:
        """Find the places; ``positions`` has of every prompt of the cell the numbers of its tokens, ascending."""
        self._batch = batch
        paths = batch.paths
        wanted = {
            position: [path[tokens[prompt]] for prompt, path in zip(batch.prompts, paths)]
            for position, tokens in positions.items()
        }
        self._single = {name: np.concatenate(each) for name, each in wanted.items() if all(map(_is_one, each))}
        self._several = {name: each for name, each in wanted.items() if name not in self._single}
        self._on: dict[torch.device, _OnDevice] = {}
        first = min(int(place.min()) for each in wanted.values() for place in each)
        self.looks_back = first < batch.kept
        """Whether a place is one of an earlier pass."""

    def read(self, vectors: torch.Tensor, earlier: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Return by position the vectors of the pass's prompts, (n_prompts, d_model), of those of its tokens."""
        on = self._on_device(vectors.device)
        if self.looks_back:
            assert earlier is not None
            vectors = torch.cat([earlier, vectors])
        found = {name: vectors.index_select(0, places) for name, places in on.single.items()}
        if self._several:
            means = on.pieces.means(vectors.float())
            found |= dict(zip(self._several, means.chunk(len(self._several))))
        return found

    def for_the_next(self, vectors: torch.Tensor, earlier: torch.Tensor | None) -> torch.Tensor:
        """Return the vectors on the path to the next pass, (n_kept, d_model)."""
        before, own = self._on_device(vectors.device).keep
        added = vectors.index_select(0, own)
        return added if earlier is None else torch.cat([earlier.index_select(0, before), added])

    def _on_device(self, device: torch.device) -> "_OnDevice":
        if device not in self._on:
            back = 0 if self.looks_back else self._batch.kept
            self._on[device] = _OnDevice(self._batch, self._single, self._several, back, device)
        return self._on[device]


@dataclass(frozen=True)
class _OnDevice:
    """Places on a device, of which ``back`` are taken off: those of earlier passes, if none is read."""

    batch: Pass
    singles: Mapping[str, Places]
    several: Mapping[str, list[Places]]
    back: int
    device: torch.device

    @cached_property
    def single(self) -> dict[str, torch.Tensor]:
        """By position: the one place of each prompt, (n_prompts,)."""
        return {name: self._put(places - self.back) for name, places in self.singles.items()}

    @cached_property
    def pieces(self) -> "Pieces":
        """What means are made of, those of one position after those of another."""
        return Pieces([each - self.back for places in self.several.values() for each in places], self.device)

    @cached_property
    def keep(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Which tokens of earlier passes, and which of this one, are on the path to the next."""
        keep = np.array([], dtype=np.int64) if self.batch.tree is None else self.batch.tree.keep
        kept = self.batch.kept
        return self._put(keep[keep < kept]), self._put(keep[keep >= kept] - kept)

    def _put(self, values: Places) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)


class Pieces:
    """Means over places, by way of sums of pieces that several of them have in common."""

    def __init__(self, means: Sequence[Places], device: torch.device) -> None:
        """Cut places into pieces; ``means`` are the places of each mean, in any order."""
        ends = np.cumsum([len(places) for places in means])
        every = np.concatenate(means)
        begins = np.r_[True, np.diff(every) != 1]
        begins[ends[:-1]] = True
        firsts = np.flatnonzero(begins)
        starts, stops = every[firsts], every[np.r_[firsts[1:], len(every)] - 1] + 1
        cuts = np.unique(np.r_[starts, stops])
        first, past = np.searchsorted(cuts, starts), np.searchsorted(cuts, stops)
        mean_of = np.searchsorted(ends, firsts, side="right")
        n_pieces = np.bincount(mean_of, past - first, len(means)).astype(np.int64)
        self._cuts = torch.from_numpy(cuts).to(device)
        self._places = torch.arange(int(cuts[0]), int(cuts[-1]), device=device)
        self._pieces = torch.from_numpy(_ranges(first, past)).to(device)
        self._offsets = torch.from_numpy(np.cumsum(n_pieces) - n_pieces).to(device)
        shares = np.repeat(1 / np.diff(ends, prepend=0), n_pieces)
        self._shares = torch.from_numpy(shares).to(device, torch.float32)

    def means(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the means, (n_means, d_model), of float32 vectors by place."""
        sums = embedding_bag(self._places, vectors, self._cuts[:-1] - self._cuts[0], mode="sum")
        return embedding_bag(self._pieces, sums, self._offsets, mode="sum", per_sample_weights=self._shares)


def _ranges(first: Places, past: Places) -> Places:
    """Return the numbers from each first to before each past, end to end."""
    sizes = past - first
    return np.arange(sizes.sum()) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)


def _is_one(places: Places) -> bool:
    return len(places) == 1
