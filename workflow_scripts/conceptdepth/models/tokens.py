"""Token ids of prompts, ending with the token that is probed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from conceptdepth.ground.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenize(tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each prompt, ending with the last token of the text itself.

    Special tokens go before a prompt as the tokenizer adds them; one that it would add after the prompt is
    dropped, because the probe reads the last token of the text.
    """
    encoded = tokenizer(list(prompts), return_special_tokens_mask=True)
    tokens = []
    for prompt, ids, special in zip(prompts, encoded["input_ids"], encoded["special_tokens_mask"]):
        end = len(ids)
        while end and special[end - 1]:
            end -= 1
        if not end:
            raise UserError(f"the prompt {prompt!r} has no tokens.")
        tokens.append(list(ids[:end]))
    return tokens
