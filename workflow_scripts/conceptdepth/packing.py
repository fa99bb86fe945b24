"""Packing prompts into rows without padding and without computing a shared prefix twice in a row.

The prompts of a dataset share prefixes: the instruction, and often much of the text (the true and the
false claim about one city differ in their last words). In a causal model the activations at a token depend
on the tokens before it alone, so a prefix tree of the prompts needs each of its nodes only once. A row
holds such a tree: its tokens in depth-first order, for each token its parent, and as position its depth.
With an attention mask that lets a token see its ancestors and itself, the last token of every prompt gets
the activations that it would have alone (tree attention, as in SpecInfer, Miao et al. 2023, arXiv
2305.09781). Rows need no padding, so padding can introduce no error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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

    def visible(self, window: int | None = None) -> NDArray[np.bool_]:
        """Return which tokens each token may attend to, shape (n_tokens, n_tokens).

        ``window`` limits attention to the last ``window`` tokens, the token itself included.
        """
        mask = np.eye(len(self.tokens), dtype=bool)
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                mask[place, : parent + 1] = mask[parent, : parent + 1]
        if window is not None:
            mask &= self.positions[:, None] - self.positions[None, :] < window
        return mask


def pack(prompts: Sequence[Sequence[int]], capacity: int) -> list[Row]:
    """Pack tokenised prompts into rows of at most ``capacity`` tokens, longest rows first.

    In lexicographic order each prompt shares its longest prefix with its predecessor, so rows are filled
    in that order. A prompt longer than the capacity has a row of its own.
    """
    rows: list[_OpenRow] = []
    for index in sorted(range(len(prompts)), key=lambda i: tuple(prompts[i])):
        if not rows or not rows[-1].has_room(prompts[index], capacity):
            rows.append(_OpenRow())
        rows[-1].add(index, prompts[index])
    return sorted((row.close() for row in rows), key=lambda row: -len(row.tokens))


class _OpenRow:
    """A row while it is being filled."""

    def __init__(self) -> None:
        self.prompts: list[int] = []
        self.last: list[int] = []
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.parents: list[int] = []
        self._newest: Sequence[int] = ()
        self._path: list[int] = []

    def has_room(self, prompt: Sequence[int], capacity: int) -> bool:
        return len(self.tokens) + len(prompt) - common_prefix(self._newest, prompt) <= capacity

    def add(self, index: int, prompt: Sequence[int]) -> None:
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


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the number of tokens with which both sequences begin."""
    length = 0
    for a, b in zip(first, second):
        if a != b:
            break
        length += 1
    return length
