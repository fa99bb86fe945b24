"""The plain model: one prompt at a time, as transformers runs it, with the hidden states that it gives out itself."""

import inspect
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from conceptdepth.activations.collector import Vectors, check_every_block, one_a_token
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.models.devices import input_device
from conceptdepth.models.hooks import Hooks, Keep
from conceptdepth.models.limits import long_factors
from conceptdepth.models.sites import blocks, listen

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def relative(found: Vectors, expected: Vectors) -> NDArray[np.float64]:
    """Return the length of each difference over that of the expected vector, along the last axis."""
    lengths = np.linalg.norm(expected.astype(np.float64), axis=-1)
    differences = np.linalg.norm(found.astype(np.float64) - expected, axis=-1)
    return np.divide(differences, lengths, out=np.where(differences > 0, np.inf, 0.0), where=lengths > 0)


def one_by_one(
    causal: "PreTrainedModel",
    body: "PreTrainedModel",
    tokens: Sequence[list[int]],
    sites: Sequence[str],
    tolerance: float,
    name: str,
) -> dict[str, Vectors]:
    """Return the vectors at the last token of each prompt, alone, by site, shape (n_layers, n_prompts, d_model).

    ``body`` is ``causal`` without its head. Raises `UserError` if the model's hidden states are others by more than
    the tolerance, relative to their length, if a model is not causal, and if memory runs out.
    """
    ends = {len(prompt) - 1 for prompt in tokens}
    try:
        alone = [_PlainPass(causal, body, prompt, ends, sites, name) for prompt in tokens]
    except torch.OutOfMemoryError:
        raise UserError(
            f"{name}: memory ran out with one prompt of up to {max(map(len, tokens))} tokens through the plain model, "
            "with which it is compared; lower `max_words`, or use a larger machine."
        ) from None
    for one in alone:
        one.check_hidden_states(tolerance)
    limit = long_factors(body.config.get_text_config()) or 0
    for one, other in _inside(alone, limit):
        one.check_causal(other, tolerance)
    return {site: np.stack([one.last(site) for one in alone], axis=1) for site in sites}


def run_plain(causal: "PreTrainedModel", prompt: list[int], **options: Any) -> Any:
    """Return what the whole model gives out for one prompt, its logits of the last token alone if it can."""
    # Logits of every token would be the most of such a pass.
    few = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(causal.forward).parameters else {}
    ids = torch.tensor([prompt], device=input_device(causal))
    with torch.inference_mode():
        return causal(input_ids=ids, use_cache=False, **few, **options)


def _inside(alone: Sequence["_PlainPass"], limit: int) -> Iterator[tuple["_PlainPass", "_PlainPass"]]:
    """Yield the pairs of which one prompt begins the other, both on one side of a limit that changes all positions."""
    for one, other in itertools.permutations(alone, 2):
        begins = len(one.prompt) < len(other.prompt) and other.prompt[: len(one.prompt)] == one.prompt
        if begins and (len(one.prompt) > limit) == (len(other.prompt) > limit):
            yield one, other


class _PlainPass:
    """One prompt through the whole model. Vectors are kept at a few places, of which the last is the last token's."""

    def __init__(
        self,
        causal: "PreTrainedModel",
        body: "PreTrainedModel",
        prompt: list[int],
        ends: set[int],
        sites: Sequence[str],
        name: str,
    ) -> None:
        self.prompt, self._body, self._name = prompt, body, name
        self._places = sorted(end for end in ends if end < len(prompt))
        self._found: dict[str, list[Vectors]] = {site: [] for site in sites}
        listed = blocks(body, name)
        with Hooks() as hooks:
            if EMBEDDING in sites:
                hooks.before(listed[0], self._keeper(EMBEDDING))
            for block, site in itertools.product(listed, set(sites) - {EMBEDDING}):
                listen(hooks, block, site, self._keeper(site))
            states = run_plain(causal, prompt, output_hidden_states=True).hidden_states
        check_every_block(self._found, listed, name)
        self._hidden = [self._vectors(layer) for layer in states or ()]

    def _keeper(self, site: str) -> Keep:
        return lambda states: self._found[site].append(self._vectors(states))

    def _vectors(self, states: torch.Tensor) -> Vectors:
        """Return the states at the places that are kept, (n_places, d_model)."""
        vectors = one_a_token(states, 1, len(self.prompt), self._body, self._name)
        return vectors[self._places].float().cpu().numpy()

    def last(self, site: str) -> Vectors:
        """Return the vectors of the last token, (n_layers, d_model)."""
        return np.stack([layer[-1] for layer in self._found[site]])

    def check_hidden_states(self, tolerance: float) -> None:
        """Raise `UserError` unless the blocks' outputs are what transformers calls hidden states.

        Most models name the input of the first block first, Mamba and RWKV its output. The last one may be normalised.
        """
        outputs = self._found["residual"][:-1]
        for first in (1, 0):
            named = self._hidden[first : first + len(outputs)]
            pairs = zip(outputs, named)
            if len(named) == len(outputs) and all((relative(*pair) <= tolerance).all() for pair in pairs):
                return
        raise self._refused("the outputs of its blocks are not what transformers gives as its hidden states")

    def check_causal(self, longer: "_PlainPass", tolerance: float) -> None:
        """Raise `UserError` if this prompt's tokens get other vectors when another prompt goes on behind them."""
        place = longer._places.index(len(self.prompt) - 1)
        pairs = zip(longer._found["residual"], self._found["residual"])
        if any(relative(other[place], mine[-1]) > tolerance for other, mine in pairs):
            raise self._refused("it is not causal: what comes after a token changes its vectors")

    def _refused(self, reason: str) -> UserError:
        kind = self._body.config.model_type
        return UserError(f"models.{self._name}: the architecture {kind!r} is not supported, because {reason}.")
