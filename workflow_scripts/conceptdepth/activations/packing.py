"""Packing prompts into forward passes without computing a shared prefix twice.

The prompts of a dataset share prefixes: the instruction, and often much of the text (the true and the
false claim about one city differ in their last words). In a causal model the activations at a token depend
on the tokens before it alone, so a prefix tree of the prompts needs each of its nodes only once. The prefix
that all prompts share is computed in a pass of its own, whose keys and values are kept. What remains is
packed into rows, each a prefix tree: its tokens in depth-first order, for each token its parent, and as
position its depth. With an attention mask that lets a token see its ancestors and itself, the last token of
every prompt gets the activations that it would have alone (tree attention, as in SpecInfer, Miao et al. 2023,
arXiv 2305.09781).

A row is short, because attention takes the square of its length; a pass takes several rows of about equal
length, so that its matrix products are large. Only the ends of its shorter rows are padded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROW_TOKENS = 128
"""Tokens of a row, unless a prompt is longer: attention within it is then a small part of the work."""

Tokens = list[int]


Near = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_] | bool]
"""Tells by their positions which tokens are near enough to be attended to; arrays of both that broadcast together."""


def everywhere(_of: NDArray[np.int64], _to: NDArray[np.int64]) -> bool:
    """Let tokens attend at any distance."""
    return True


def within(window: int) -> Near:
    """Let tokens attend to the last ``window`` tokens, themselves included."""
    return lambda of, to: of - to < window


def same_chunk(size: int) -> Near:
    """Let tokens attend within their chunk: positions 0 to size - 1, and so on."""
    return lambda of, to: of // size == to // size


@dataclass(frozen=True)
class Row:
    """Some prompts as one sequence of tokens."""

    prompts: NDArray[np.int64]
    """Indices of the prompts in this row, shape (n_prompts,)."""
    last: NDArray[np.int64]
    """Place in the row of each prompt's last token, shape (n_prompts,)."""
    tokens: NDArray[np.int64]
    """Token ids, shape (n_tokens,)."""
    positions: NDArray[np.int64]
    """Position of each token in its own prompt, counted from 0, shape (n_tokens,)."""
    parents: NDArray[np.int64]
    """Place in the row of the token before each token, -1 for first tokens, shape (n_tokens,)."""

    def ancestors(self) -> NDArray[np.bool_]:
        """Return for each token which tokens stand before it in its prompts, and itself, shape (n_tokens, n_tokens)."""
        mask = np.eye(len(self.tokens), dtype=bool)
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                mask[place, : parent + 1] = mask[parent, : parent + 1]
        return mask


@dataclass(frozen=True)
class Batch:
    """The rows of one forward pass, which follow a prefix of ``offset`` tokens."""

    rows: Sequence[Row]
    offset: int = 0
    is_tree: bool = True
    """Whether rows are trees, which need a mask; else they are whole prompts of one length."""

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return max(len(row.tokens) for row in self.rows)

    @property
    def prompts(self) -> NDArray[np.int64]:
        """Indices of all prompts, shape (n_prompts,)."""
        return np.concatenate([row.prompts for row in self.rows])

    @property
    def last(self) -> NDArray[np.int64]:
        """Places of their last tokens in the rows laid end to end, shape (n_prompts,)."""
        return np.concatenate([row.last + number * self.width for number, row in enumerate(self.rows)])

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Token ids, shape (n_rows, width)."""
        return self._table([row.tokens for row in self.rows])

    @property
    def positions(self) -> NDArray[np.int64]:
        """Positions in the whole prompts, prefix included, shape (n_rows, width)."""
        return self._table([row.positions + self.offset for row in self.rows])

    def visible(self, near: Near) -> NDArray[np.bool_]:
        """Return what each token may attend to, shape (n_rows, width, offset + width): prefix, then row.

        Padding sees itself, so that its softmax is defined, and is seen by nothing else.
        """
        mask = np.zeros((len(self.rows), self.width, self.offset + self.width), dtype=bool)
        mask[:, np.arange(self.width), self.offset + np.arange(self.width)] = True
        for number, row in enumerate(self.rows):
            size = len(row.tokens)
            positions = self.offset + row.positions
            before = np.ones((size, self.offset), dtype=bool)
            path = np.hstack([before, row.ancestors()])
            path &= near(positions[:, None], np.concatenate([np.arange(self.offset), positions]))
            mask[number, :size, : self.offset + size] = path
        return mask

    def _table(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.stack([np.pad(row, (0, self.width - len(row))) for row in rows])


def split_prefix(prompts: Sequence[Tokens]) -> tuple[Tokens, list[Tokens]]:
    """Return the longest prefix that all prompts share, and what remains of each: at least its last token."""
    common = common_prefix(min(prompts), max(prompts))  # In lexicographic order all others lie between.
    length = min(common, min(map(len, prompts)) - 1)
    return prompts[0][:length], [prompt[length:] for prompt in prompts]


def batches(rows: Sequence[Row], *, offset: int, capacity: int) -> Iterator[Batch]:
    """Group rows, longest first, into passes of at most ``capacity`` tokens, or of one row."""
    waiting = sorted(rows, key=lambda row: -len(row.tokens))
    while waiting:
        number = max(1, capacity // len(waiting[0].tokens))
        yield Batch(waiting[:number], offset)
        del waiting[:number]


def pack(prompts: Sequence[Tokens], capacity: int) -> list[Row]:
    """Pack tokenised prompts into rows of at most ``capacity`` tokens.

    In lexicographic order each prompt shares its longest prefix with its predecessor, so rows are filled
    in that order. A prompt longer than the capacity has a row of its own.
    """
    rows: list[_OpenRow] = []
    for index in sorted(range(len(prompts)), key=lambda i: tuple(prompts[i])):
        if not rows or not rows[-1].has_room(prompts[index], capacity):
            rows.append(_OpenRow())
        rows[-1].add(index, prompts[index])
    return [row.close() for row in rows]


class _OpenRow:
    """A row while it is being filled."""

    def __init__(self) -> None:
        self.prompts: list[int] = []
        self.last: list[int] = []
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.parents: list[int] = []
        self._newest: Tokens = []
        self._path: list[int] = []

    def has_room(self, prompt: Tokens, capacity: int) -> bool:
        return len(self.tokens) + len(prompt) - common_prefix(self._newest, prompt) <= capacity

    def add(self, index: int, prompt: Tokens) -> None:
        shared = common_prefix(self._newest, prompt)
        del self._path[shared:]
        for position in range(shared, len(prompt)):
            self.parents.append(self._path[-1] if self._path else -1)
            self._path.append(len(self.tokens))
            self.tokens.append(prompt[position])
            self.positions.append(position)
        self.prompts.append(index)
        self.last.append(self._path[-1])
        self._newest = prompt

    def close(self) -> Row:
        fields = (self.prompts, self.last, self.tokens, self.positions, self.parents)
        return Row(*(np.array(values, dtype=np.int64) for values in fields))


def common_prefix(first: Tokens, second: Tokens) -> int:
    """Return the number of tokens with which both sequences begin."""
    length = 0
    for a, b in zip(first, second):
        if a != b:
            break
        length += 1
    return length
