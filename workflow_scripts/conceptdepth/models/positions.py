"""Which tokens of a prompt are read: positions named by meaning, found by the characters that tokens stand for.

``last``
    The last token of the prompt, whatever stands there: in a chat template a mark of formatting.
``text_last``
    The last token of the statement itself, before an instruction or a mark of formatting that follows it.
``text_mean``
    The mean over the tokens of the statement.
``prompt_mean``
    The mean over all tokens of the prompt but special ones, such as the mark with which every text begins: they stand
    for no text, and their vectors may be a thousand times as long as all others (Sun et al. 2024, *Massive activations
    in large language models*, arXiv 2402.17762).
``span_last``, ``span_mean``
    The same of the span of the statement that its dataset names, such as the city.

A token belongs to a stretch of text if it stands for one of its characters: " Oslo" belongs to "Oslo", and so does a
token that ends in the middle of a word.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.ground.names import LAST
from conceptdepth.models.tokens import Tokenized

Places = NDArray[np.int64]

Row = Mapping[str, Any]
"""A row of a file of prompts."""


def _last(prompt: Tokenized, _: Row) -> Places:
    return np.array([len(prompt.ids) - 1])


def _of_prompt(prompt: Tokenized, _: Row) -> Places:
    return np.flatnonzero(~prompt.special)


def _of_text(prompt: Tokenized, row: Row) -> Places:
    return prompt.standing_for(*row["text_at"])


def _of_span(prompt: Tokenized, row: Row) -> Places:
    return prompt.standing_for(*row["span_at"])


def _end_of(part: Callable[[Tokenized, Row], Places]) -> Callable[[Tokenized, Row], Places]:
    return lambda prompt, row: part(prompt, row)[-1:]


POSITIONS: Mapping[str, Callable[[Tokenized, Row], Places]] = {
    LAST: _last,
    "text_last": _end_of(_of_text),
    "text_mean": _of_text,
    "prompt_mean": _of_prompt,
    "span_last": _end_of(_of_span),
    "span_mean": _of_span,
}
"""Position -> the numbers of its tokens in a prompt, ascending; vectors of several are averaged."""

BY_CHARACTERS = frozenset({"text_last", "text_mean", "span_last", "span_mean"})
"""Positions that ask which characters a token stands for."""


@dataclass(frozen=True)
class Probed:
    """Which tokens of each prompt are read, by position."""

    tokens: Mapping[str, list[Places]]
    """By position, of each prompt: the numbers of its tokens, ascending."""

    @property
    def extents(self) -> dict[str, NDArray[np.int32]]:
        """By position: the first token of each prompt and one past the last, shape (n_prompts, 2)."""
        return {
            position: np.array([(each[0], each[-1] + 1) for each in prompts], dtype=np.int32)
            for position, prompts in self.tokens.items()
        }

    @property
    def first_alike(self) -> dict[str, str]:
        """By position: the first one that reads the same tokens of every prompt, which may be itself."""
        first: dict[bytes, str] = {}
        return {
            position: first.setdefault(b"|".join(each.tobytes() for each in prompts), position)
            for position, prompts in self.tokens.items()
        }


def probed(positions: Sequence[str], prompts: Sequence[Tokenized], rows: Sequence[Row]) -> Probed:
    """Return which tokens of prompts are read at positions.

    Raises `UserError` for a prompt in which nothing stands at a position, or of which it is not known what does.
    """
    wanted = [position for position in positions if position in BY_CHARACTERS]
    for row in (row for prompt, row in zip(prompts, rows) if wanted and prompt.characters is None):
        raise UserError(
            f"activations.positions: {wanted[0]} cannot be read, because the model's chat template changes or repeats "
            f"the prompt {row['prompt']!r}; leave out {one_of(wanted)}, or the rendering."
        )
    found = {position: [POSITIONS[position](*each) for each in zip(prompts, rows)] for position in positions}
    for position, tokens in found.items():
        for row, places in zip(rows, tokens):
            if not len(places):
                raise UserError(f"activations.positions: the prompt {row['prompt']!r} has no token at {position}.")
    return Probed(found)
