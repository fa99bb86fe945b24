"""Flat passes: prompts end to end in one sequence, in which nothing that they share stands twice.

The prompts of a dataset share beginnings: the instruction, and often much of the text (the true and the false claim
about one city differ in their last words). In a causal model the activations at a token depend on the tokens before it
alone, so a prefix tree of the prompts needs each of its nodes only once. Sorted, each prompt shares its longest
beginning with the one before it, and what it adds is a *run* of new tokens; runs end to end are the tree in depth-first
order. A pass is a stretch of them as one sequence: matrix products see no padding, and no token twice. Attention alone
must know the tree: a run attends to its *path*, the tokens of its prompt from the first to its own, wherever they
stand (tree attention, as in SpecInfer, Miao et al. 2023, arXiv 2305.09781). What a pass needs of those before it are
the keys and values on the path to its first token, and these are kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = list[int]

MOST_KEYS = 131_072
"""Most tokens on the paths of a pass: keys and values are gathered along them, also where few tokens follow many."""


@dataclass(frozen=True)
class Sight:
    """How far back tokens attend."""

    window: int | None = None
    """To the last so many tokens, themselves included."""
    chunk: int | None = None
    """Within chunks of so many positions: 0 to chunk - 1, and so on."""

    def reaches(self, of: Any, to: Any) -> Any:
        """Tell whether tokens at positions ``of`` attend to those at ``to``, arrays or tensors that broadcast."""
        seen = to <= of
        if self.window is not None:
            seen = seen & (of - to < self.window)
        if self.chunk is not None:
            seen = seen & (of // self.chunk == to // self.chunk)
        return seen


@dataclass(frozen=True)
class Tree:
    """The runs of a flat pass. A token's place counts those that are kept of earlier passes first, by position."""

    starts: NDArray[np.int64]
    """Position in its prompt of each run's first token, shape (n_runs,)."""
    ends: NDArray[np.int64]
    """Position behind each run's last token, which is the length of its path, shape (n_runs,)."""
    paths: NDArray[np.int64]
    """Places of the tokens on each run's path, one path after another, shape (sum of ends,)."""
    kept: int
    """Tokens of earlier passes on the path to the first run."""
    keep: NDArray[np.int64]
    """Places of the tokens on the path to the next pass, shape (n_kept_for_next,)."""

    @property
    def positions(self) -> NDArray[np.int64]:
        """Position of each token in its prompt, shape (n_tokens,)."""
        return np.concatenate([np.arange(*run) for run in zip(self.starts, self.ends)])

    def visible(self, sight: Sight) -> NDArray[np.bool_]:
        """Return what each token attends to, shape (n_tokens, kept + n_tokens)."""
        tokens = int((self.ends - self.starts).sum())
        return self.visible_to(range(len(self.ends)), np.arange(self.kept + tokens), sight)

    def visible_to(self, runs: range, keys: NDArray[np.int64], sight: Sight) -> NDArray[np.bool_]:
        """Return what the tokens of some runs attend to, shape (n_tokens of them, n_keys).

        ``keys`` are ascending places, those on the paths among them.
        """
        paths, rows = self.each_path, list[NDArray[np.bool_]]()
        for run in runs:
            positions = np.arange(self.starts[run], self.ends[run])
            seen = np.zeros((len(positions), len(keys)), dtype=bool)
            along = np.searchsorted(keys, paths[run])
            seen[:, along] = sight.reaches(positions[:, None], np.arange(len(along)))
            rows.append(seen)
        return np.concatenate(rows)

    @cached_property
    def each_path(self) -> list[NDArray[np.int64]]:
        """Return the path of each run."""
        return np.split(self.paths, np.cumsum(self.ends)[:-1])


@dataclass(frozen=True)
class Pass:
    """What goes through the model at a time: runs of a tree in one row, or whole prompts of one length."""

    tokens: NDArray[np.int64]
    """Token ids, shape (n_rows, width)."""
    prompts: NDArray[np.int64]
    """Indices of the prompts whose last tokens it has, ascending, shape (n_prompts,)."""
    last: NDArray[np.int64]
    """Places of their last tokens in the rows laid end to end, shape (n_prompts,)."""
    tree: Tree | None = None
    """None: whole prompts, each in a row of its own."""
    runs: NDArray[np.int64] | None = None
    """Of a tree: the run whose path each prompt is, shape (n_prompts,)."""

    @property
    def kept(self) -> int:
        """Tokens of earlier passes, which places count first."""
        return 0 if self.tree is None else self.tree.kept

    @property
    def paths(self) -> list[NDArray[np.int64]]:
        """Places of each prompt's tokens, from its first to its last."""
        if self.tree is None or self.runs is None:
            return list(np.arange(self.tokens.size).reshape(self.tokens.shape))
        return [self.tree.each_path[run] for run in self.runs]


def flat_passes(prompts: Sequence[Tokens], *, capacity: int, keeping: bool = True) -> Iterator[Pass]:
    """Yield passes of at most ``capacity`` tokens, or of one run, that together have each distinct beginning once.

    Unless keys and values are kept (``keeping``) from pass to pass, each begins with a whole prompt.
    """
    order, shared = _in_tree_order(prompts)
    first = 0
    while first < len(order):
        if not keeping:
            shared[first] = 0
        after = _end(prompts, order, shared, first, capacity)
        goes_on = shared[after] if keeping and after < len(order) else 0
        yield _lay_out(prompts, order[first:after], shared[first:after], goes_on)
        first = after


def distinct_tokens(prompts: Sequence[Tokens]) -> int:
    """Return the tokens of prompts, each beginning that they share counted once: those that go through the model."""
    return sum(map(len, prompts)) - sum(_in_tree_order(prompts)[1])


def common_prefix(first: Tokens, second: Tokens) -> int:
    """Return the number of tokens with which both sequences begin."""
    length = 0
    for a, b in zip(first, second):
        if a != b:
            break
        length += 1
    return length


def _in_tree_order(prompts: Sequence[Tokens]) -> tuple[list[int], list[int]]:
    """Return the prompts' indices in lexicographic order, and how many tokens each shares with the one before it."""
    order = sorted(range(len(prompts)), key=prompts.__getitem__)
    return order, [0, *(common_prefix(prompts[one], prompts[other]) for one, other in pairwise(order))]


def _end(prompts: Sequence[Tokens], order: Sequence[int], shared: Sequence[int], first: int, capacity: int) -> int:
    """Return where in the order the pass ends that begins at ``first``."""
    tokens = keys = 0
    for place in range(first, len(order)):
        length = len(prompts[order[place]])
        if length == shared[place]:
            continue  # Equal to the one before it, whose tokens are its own.
        tokens += length - shared[place]
        keys += length
        if place > first and (tokens > capacity or keys > MOST_KEYS):
            return place
    return len(order)


def _lay_out(prompts: Sequence[Tokens], order: Sequence[int], shared: Sequence[int], goes_on: int) -> Pass:
    """Return some prompts as a pass, of whose last path the next one needs the first ``goes_on`` tokens."""
    kept = shared[0]
    path, tokens, last, runs = list(range(kept)), list[int](), list[int](), list[int]()
    starts, ends, paths = list[int](), list[int](), list[NDArray[np.int64]]()
    for index, common in zip(order, shared):
        added = prompts[index][common:]
        if added:
            path[common:] = range(kept + len(tokens), kept + len(tokens) + len(added))
            tokens += added
            starts.append(common)
            ends.append(len(path))
            paths.append(np.array(path))
        last.append(path[-1] - kept)
        runs.append(len(paths) - 1)
    ascending = np.argsort(order)
    tree = Tree(np.array(starts), np.array(ends), np.concatenate(paths), kept, np.array(path[:goes_on], dtype=np.int64))
    prompts_of, last_of, run_of = (np.array(each)[ascending] for each in (order, last, runs))
    return Pass(np.array([tokens]), prompts_of, last_of, tree, run_of)
