"""What a model itself answers: its probabilities of the next token after a prompt and a cue.

Each class has a word (``Yes``, ``No``). A model that knows an answer may begin it with a space or not, in lower
or upper case; the probability of a class is the sum over all variants of its word that are one token. Each layer is
asked in the same passes: the lens is the final norm and the rows of these tokens in the head, on the layer's output.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from conceptdepth.activations.ends import Ends
from conceptdepth.activations.extraction import last_states, shape
from conceptdepth.activations.layouts import Layout
from conceptdepth.activations.plain import relative, run_plain
from conceptdepth.activations.self_test import tolerance_of
from conceptdepth.ground.errors import UserError
from conceptdepth.models.devices import input_device
from conceptdepth.models.head import Head, Lens
from conceptdepth.models.sites import decoder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROMPTS_AT_A_TIME = 64
"""Prompts whose logits of the whole vocabulary are in memory at a time."""


@dataclass(frozen=True)
class Scores:
    """What a model says of each prompt, each of shape (n_prompts,)."""

    log_odds: NDArray[np.float32]
    """Natural logarithm of the probability of class 1's answer over that of class 0's."""
    mass: NDArray[np.float32]
    """Probability of any of the answers, between 0 and 1."""
    answered: NDArray[np.bool_]
    """Whether the most probable token is one of the answers."""
    confidence: NDArray[np.float32]
    """Probability of the most probable token."""
    lens: NDArray[np.float32]
    """Log-odds by layer, shape (n_layers, n_prompts): of the last layer the model's own."""


def variants(word: str) -> list[str]:
    """Return a word as it is, in lower and upper case and capitalised, each without and with a space before it."""
    forms = (word, word.lower(), word.upper(), word.capitalize())
    return list(dict.fromkeys(space + form for space in ("", " ") for form in forms))


def answer_tokens(
    tokenizer: "PreTrainedTokenizerBase", words: Sequence[str], *, cue: str, dataset: str, model: str
) -> list[list[int]]:
    """Return for each class the tokens that say its word after the cue.

    A variant counts if it adds exactly one token to those of the cue, and no special one. Raises `UserError` for a
    word without such a variant, and for two words that have one in common.
    """
    found = [sorted(_single_tokens(tokenizer, word, cue)) for word in words]
    for number, (word, tokens) in enumerate(zip(words, found)):
        if not tokens:
            raise UserError(
                f"datasets.{dataset}.classes[{number}].answer: {word!r} is not a single token of {model}, in any "
                "casing; set another word."
            )
    if set(found[0]) & set(found[1]):
        raise UserError(
            f"datasets.{dataset}.classes: the answers {words[0]!r} and {words[1]!r} share a token of {model}; set "
            "other words."
        )
    return found


def _single_tokens(tokenizer: "PreTrainedTokenizerBase", word: str, cue: str) -> set[int]:
    """Return the tokens of a word's variants. With the cue before it, as some tokenizers put a space before a text."""
    before, *after = tokenizer(
        [cue, *(cue + variant for variant in variants(word))], add_special_tokens=False
    ).input_ids
    added = {tokens[-1] for tokens in after if tokens[:-1] == before}
    return added - set(tokenizer.all_special_ids)


def score(
    model: "PreTrainedModel",
    tokens: Sequence[list[int]],
    answers: Sequence[Sequence[int]],
    *,
    batch_tokens: int,
    fixed: bool = False,
    layout: Layout | None = None,
    name: str,
    wanted: Callable[[], bool] = lambda: True,
) -> Scores:
    """Score prompts by the next token; ``answers`` are those of class 0 and of class 1.

    ``tokens``, ``batch_tokens``, ``fixed``, ``layout``, ``name``, ``wanted`` and errors are those of
    `conceptdepth.activations.extraction.extract`.
    """
    body = decoder_of(model, name)
    if body is model:
        raise UserError(f"models.{name}: its answers cannot be read, because it has no part without its head.")
    lens, sizes = Lens(model, body, [*answers[0], *answers[1]], name), [len(answers[0]), len(answers[1])]
    layers = np.empty((shape(body, name)[0], len(tokens), 2), np.float32)
    found = last_states(
        body, tokens, batch_tokens=batch_tokens, fixed=fixed, layout=layout, name=name, wanted=wanted,
        ends=Ends(body, lambda states: by_class(lens.logits(states).split(sizes, 1)), layers, name),
    )  # fmt: skip
    head, states = Head(model, body), torch.from_numpy(found).to(input_device(model))
    tolerance = tolerance_of(body)
    _check_head(head, model, states, tokens, tolerance, name)
    parts = [_scores(head.logits(some), answers) for some in states.split(PROMPTS_AT_A_TIME)]
    own, log_odds, mass, answered, confidence = (np.concatenate(column) for column in zip(*parts))
    _check_lens(layers[-1], own, tolerance, name)
    # What the last layer says is the answer: rows of a matrix alone round otherwise than in it.
    return Scores(log_odds, mass, answered, confidence, np.stack([*(layers[:-1, :, 1] - layers[:-1, :, 0]), log_odds]))


def _check_head(
    head: Head,
    model: "PreTrainedModel",
    states: torch.Tensor,
    tokens: Sequence[list[int]],
    tolerance: float,
    name: str,
) -> None:
    """Raise `UserError` unless logits of the shortest and longest prompt are the whole model's, but for rounding."""
    by_length = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
    ends = [by_length[0], by_length[-1]]
    found = head.logits(states[ends]).cpu().numpy()
    expected = [run_plain(model, tokens[index]).logits[0, -1].float().cpu().numpy() for index in ends]
    difference = relative(found, np.array(expected)).max()
    if not difference <= tolerance:
        raise UserError(
            f"models.{name}: its answers cannot be read, because logits differ by {difference:.2g} of their length "
            f"from those of the whole model, where rounding explains {tolerance:g}."
        )


def _check_lens(found: NDArray, own: NDArray, tolerance: float, name: str) -> None:
    """Raise `UserError` unless the lens at the last layer finds the model's own answers, each (n_prompts, 2)."""
    difference = np.abs(found - own).max() / np.abs(own).max()
    if not difference <= tolerance:
        raise UserError(
            f"models.{name}: its answers cannot be read at each layer, because at the last one the final norm and the "
            f"head give others than the model, by {difference:.2g} of the largest, where rounding explains "
            f"{tolerance:g}."
        )


def by_class(logits: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return of each class the logarithm of its sum of exponentials, (n_prompts, 2)."""
    return torch.stack([tokens.logsumexp(1) for tokens in logits], dim=1)


def _scores(logits: torch.Tensor, answers: Sequence[Sequence[int]]) -> tuple[NDArray, ...]:
    """Return `by_class`, and the fields of `Scores` of the whole model."""
    both = [token for tokens in answers for token in tokens]
    classes = by_class([logits[:, list(tokens)] for tokens in answers])
    whole = logits.logsumexp(1)
    mass = (logits[:, both].logsumexp(1) - whole).exp()
    confidence = (logits.amax(1) - whole).exp()
    answered = torch.isin(logits.argmax(1), torch.tensor(both, device=logits.device))
    log_odds = classes[:, 1] - classes[:, 0]
    return tuple(values.cpu().numpy() for values in (classes, log_odds, mass, answered, confidence))
