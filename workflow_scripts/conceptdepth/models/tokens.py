"""Token ids of prompts, ending with the token that is probed, by the rules of the checkpoint's own file."""

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from conceptdepth.ground.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerBase

TOKENIZER = "tokenizer.json"
"""The file in which a checkpoint has the rules of its tokenizer, whole."""


@dataclass(frozen=True)
class Tokenized:
    """The tokens of a prompt. What else is known of them is looked up when it is first asked."""

    ids: list[int]
    """Ending with the last token of the text itself."""
    added: Sequence[int]
    """Of each, and perhaps of some that were dropped: 1 if the tokenizer put it there, else 0."""
    marks: Set[int]
    """Ids that stand for no text, see `special_ids`."""
    encoding: "Encoding | None"
    """What a fast tokenizer says of them."""
    start: int | None = 0
    """Where in the text that was tokenized characters are counted from; None if that is not known."""
    kept: tuple[int, int | None] = (0, None)
    """The first character from there that counts, and one past the last; None is the end."""

    @cached_property
    def special(self) -> NDArray[np.bool_]:
        """Which are special, and stand for no text, shape (n_tokens,)."""
        return np.array([bool(mark) or token in self.marks for mark, token in zip(self.added, self.ids)])

    @cached_property
    def characters(self) -> NDArray[np.int64] | None:
        """Of each token, the first character that it stands for and one past the last, shape (n_tokens, 2).

        None if that is not known.
        """
        if self.encoding is None or self.start is None:
            return None
        return (np.array(self.encoding.offsets[: len(self.ids)]) - self.start).clip(*self.kept)

    def standing_for(self, start: int, end: int) -> NDArray[np.int64]:
        """Return the numbers of the tokens, special ones aside, that stand for a character of a stretch."""
        assert self.characters is not None
        first, past = self.characters.T
        return np.flatnonzero((first < end) & (past > start) & (past > first) & ~self.special)


def tokenize(tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str], *, whole: bool = False) -> list[list[int]]:
    """Return the token ids of each prompt; see `tokenized`."""
    return [prompt.ids for prompt in tokenized(tokenizer, prompts, whole=whole)]


def tokenized(tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str], *, whole: bool = False) -> list[Tokenized]:
    """Return the tokens of each prompt, ending with the last token of the text itself.

    Special tokens go before a prompt as the tokenizer adds them; one that it would add after the prompt is
    dropped, because the probe reads the last token of the text. To ``whole`` texts, which a chat template made with all
    that a model reads, none is added, and none of their own is dropped.
    """
    encoded = tokenizer(list(prompts), add_special_tokens=not whole, return_special_tokens_mask=True)
    encodings = encoded.encodings or [None] * len(prompts)
    marks, found = special_ids(tokenizer), []
    for prompt, ids, added, encoding in zip(prompts, encoded["input_ids"], encoded["special_tokens_mask"], encodings):
        end = len(ids)
        while not whole and end and added[end - 1]:
            end -= 1
        if not end:
            raise UserError(f"the prompt {prompt!r} has no tokens.")
        found.append(Tokenized(list(ids[:end]), added, marks, encoding))
    return found


def special_ids(tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    """Return the ids of tokens that stand for no text: marks of beginnings and ends, and those of chat templates."""
    marks = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    # An unknown word is text, unless its token has another part to play, too, as in GPT-2.
    others = [name for name in tokenizer.special_tokens_map if name != "unk_token"]
    has_other = tokenizer.unk_token in [tokenizer.special_tokens_map[name] for name in others]
    return {*tokenizer.all_special_ids, *marks} - (set() if has_other else {tokenizer.unk_token_id})


def check_characters(tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str], name: str) -> None:
    """Raise `UserError` unless each token of some prompts is said to stand for the characters that it decodes to."""
    if not tokenizer.is_fast:
        raise UserError(
            f"activations.positions: {type(tokenizer).__name__}, the tokenizer of {name}, does not say which "
            "characters a token stands for; leave out all positions but last and prompt_mean, or use a checkpoint with "
            f"a {TOKENIZER}."
        )
    for prompt, found in zip(prompts, tokenized(tokenizer, prompts)):
        assert found.characters is not None
        for token, special, (start, end) in zip(found.ids, found.special, found.characters):
            said = tokenizer.decode([token]).strip().removeprefix("##").casefold()
            # A space that is put before the text stands for none of its characters, but is said to.
            if special or not said or token == tokenizer.unk_token_id or "\ufffd" in said:
                continue
            if said != prompt[start:end].strip().casefold():
                raise UserError(
                    f"activations.positions: the tokenizer of {name} says of its token {said!r} that it stands for "
                    f"{prompt[start:end]!r} in {prompt!r}; leave out all positions but last and prompt_mean."
                )


def check_last_tokens(
    tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str], tokens: Sequence[Sequence[int]], name: str
) -> None:
    """Raise `UserError` if the token that would be probed is not the end of its text: one that is put behind it."""
    for prompt, ids in zip(prompts, tokens):
        said = tokenizer.decode(ids[-1:]).strip().removeprefix("##")  # WordPiece marks what goes on with a word.
        # An unknown word, or a part of a character, does not say what it stands for.
        if ids[-1] == tokenizer.unk_token_id or "\ufffd" in said:
            continue
        if not said or not prompt.casefold().endswith(said.casefold()):
            raise UserError(
                f"models.{name}: the last token of {prompt!r} is {said!r}, which is not the end of the text; if the "
                "tokenizer puts it there, mark it as special in its files, so that it is left out."
            )


def own_rules(folder: Path) -> "Tokenizer | None":
    """Return the tokenizer in a checkpoint's ``tokenizer.json`` as it stands there, None if there is no such file."""
    from tokenizers import Tokenizer

    if not (folder / TOKENIZER).is_file():
        return None
    rules = Tokenizer.from_file(str(folder / TOKENIZER))
    rules.no_truncation()
    rules.no_padding()
    return rules


def check_rules(
    tokenizer: "PreTrainedTokenizerBase",
    rules: "Tokenizer | None",
    prompts: Sequence[str],
    name: str,
    *,
    whole: bool = False,
) -> None:
    """Raise `UserError` if a tokenizer does not make the tokens that the checkpoint's own rules make.

    transformers opens some files with a class that puts its own rules in the place of the file's. Special tokens
    may differ where the checkpoint's configuration says that they do; to ``whole`` texts none is added.
    """
    if rules is None:
        return
    for special in (False,) if whole else (False, True):
        own = [encoded.ids for encoded in rules.encode_batch(list(prompts), add_special_tokens=special)]
        made = tokenizer(list(prompts), add_special_tokens=special)["input_ids"]
        for prompt, expected, found in zip(prompts, own, made):
            if list(found) != expected and not (special and _special_by_config(tokenizer)):
                raise UserError(
                    f"models.{name}: {type(tokenizer).__name__}, the class that the checkpoint names, makes other "
                    f"tokens than its {TOKENIZER}: of {json.dumps(prompt[:60], ensure_ascii=False)} "
                    f"{_around(found, expected)}; set models.{name}.tokenizer to `file` to go by the file."
                )


def _special_by_config(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Tell whether the checkpoint's ``tokenizer_config.json`` says itself which special tokens are added."""
    return not {"add_bos_token", "add_eos_token"}.isdisjoint(tokenizer.init_kwargs)


def _around(found: Sequence[int], expected: Sequence[int]) -> str:
    """Say where two sequences of ids part, with a few of each."""
    place = next((n for n, (a, b) in enumerate(zip(found, expected)) if a != b), min(len(found), len(expected)))
    few = slice(place, place + 4)
    return f"{list(found[few])} for {list(expected[few])} at token {place + 1}"
