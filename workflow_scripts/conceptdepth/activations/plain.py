"""The plain model: one prompt at a time, as transformers runs it, with the hidden states that it gives out itself."""

import inspect
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from conceptdepth.activations.collector import Vectors, check_every_block
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.models.devices import input_device
from conceptdepth.models.hooks import Hooks, Keep
from conceptdepth.models.limits import long_factors
from conceptdepth.models.sites import blocks, site_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def relative(found: Vectors, expected: Vectors) -> NDArray[np.float64]:
    """Return the length of each difference over that of the expected vector, shape (n_layers, n_prompts)."""
    lengths = np.linalg.norm(expected.astype(np.float64), axis=2)
    differences = np.linalg.norm(found.astype(np.float64) - expected, axis=2)
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
    the tolerance, relative to their length, or if a model is not causal.
    """
    alone = [_PlainPass(causal, body, prompt, sites, name) for prompt in tokens]
    for one in alone:
        one.check_hidden_states(tolerance)
    limit = long_factors(body.config.get_text_config()) or 0
    for one, other in _inside(alone, limit):
        one.check_causal(other, tolerance)
    return {site: np.stack([one.last(site) for one in alone], axis=1) for site in sites}


def _inside(alone: Sequence["_PlainPass"], limit: int) -> Iterator[tuple["_PlainPass", "_PlainPass"]]:
    """Yield the pairs of which one prompt begins the other, both on one side of a limit that changes all positions."""
    for one, other in itertools.permutations(alone, 2):
        begins = len(one.prompt) < len(other.prompt) and other.prompt[: len(one.prompt)] == one.prompt
        if begins and (len(one.prompt) > limit) == (len(other.prompt) > limit):
            yield one, other


class _PlainPass:
    """One prompt through the whole model, as transformers runs it."""

    def __init__(
        self, causal: "PreTrainedModel", body: "PreTrainedModel", prompt: list[int], sites: Sequence[str], name: str
    ) -> None:
        self.prompt, self._name, self._kind = prompt, name, body.config.model_type
        self._found: dict[str, list[Vectors]] = {site: [] for site in sites}
        # Logits of every token would be the most of such a pass.
        few = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(causal.forward).parameters else {}
        with Hooks() as hooks, torch.inference_mode():
            self._listen(hooks, body)
            ids = torch.tensor([prompt], device=input_device(body))
            states = causal(input_ids=ids, output_hidden_states=True, use_cache=False, **few).hidden_states
        check_every_block(self._found, blocks(body, name), name)
        self._hidden = None if states is None else [_numbers(layer, self.prompt) for layer in states]

    def _listen(self, hooks: Hooks, body: "PreTrainedModel") -> None:
        of = blocks(body, self._name)
        if EMBEDDING in self._found:
            hooks.before(of[0], self._keeper(EMBEDDING))
        for block in of:
            for site in self._found.keys() - {EMBEDDING}:
                at = site_of(block, site)
                listen = hooks.before if at.is_input else hooks.after
                listen(block.get_submodule(at.module), self._keeper(site))

    def _keeper(self, site: str) -> Keep:
        return lambda states: self._found[site].append(_numbers(states, self.prompt))

    def last(self, site: str) -> Vectors:
        """Return the vectors of the last token, (n_layers, d_model)."""
        return np.stack([layer[-1] for layer in self._found[site]])

    def check_hidden_states(self, tolerance: float) -> None:
        """Raise `UserError` unless the blocks' outputs are what transformers calls hidden states.

        Most models name the input of the first block first, Mamba and RWKV its output. The last one may be normalised.
        """
        outputs = np.stack(self._found["residual"])[:-1]
        for first in (1, 0):
            named = (self._hidden or [])[first : first + len(outputs)]
            if len(named) == len(outputs) and (relative(outputs, np.array(named)) <= tolerance).all():
                return
        raise UserError(
            f"models.{self._name}: the architecture {self._kind!r} is not supported, because the outputs of its blocks "
            "are not what transformers gives as its hidden states."
        )

    def check_causal(self, longer: "_PlainPass", tolerance: float) -> None:
        """Raise `UserError` if this prompt's tokens get other vectors when another prompt goes on behind them."""
        place = len(self.prompt) - 1
        mine, other = (np.stack(found)[:, [place]] for found in (self._found["residual"], longer._found["residual"]))
        if (relative(other, mine) > tolerance).any():
            raise UserError(
                f"models.{self._name}: the architecture {self._kind!r} is not supported, because it is not causal: "
                "what comes after a token changes its vectors."
            )


def _numbers(states: torch.Tensor, prompt: list[int]) -> Vectors:
    """Return states as an array of shape (n_tokens, d_model)."""
    return states.reshape(len(prompt), -1).float().cpu().numpy()
