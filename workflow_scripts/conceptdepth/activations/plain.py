"""The plain model: one prompt at a time, as transformers runs it, with the hidden states that it gives out itself."""

import inspect
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from conceptdepth.activations.collector import check_every_block, one_a_token
from conceptdepth.activations.leaving import Vectors
from conceptdepth.activations.reading import Places
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING, LAST
from conceptdepth.models.devices import input_device
from conceptdepth.models.hooks import Hooks, Keep
from conceptdepth.models.places import places_of
from conceptdepth.models.sites import blocks, listen, not_supported

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def relative(found: Vectors, expected: Vectors) -> NDArray[np.float64]:
    """Return the length of each difference over that of the expected vector, along the last axis.

    It is infinite where one of them is no finite number.
    """
    with np.errstate(invalid="ignore"):
        lengths = np.linalg.norm(expected.astype(np.float64), axis=-1)
        differences = np.linalg.norm(found.astype(np.float64) - expected, axis=-1)
        shares = np.divide(differences, lengths, out=np.where(differences > 0, np.inf, 0.0), where=lengths > 0)
    return np.where(np.isfinite(lengths) & np.isfinite(differences), shares, np.inf)


def one_by_one(
    causal: "PreTrainedModel",
    body: "PreTrainedModel",
    tokens: Sequence[list[int]],
    sites: Sequence[str],
    tolerance: float,
    name: str,
    means: Sequence[Places] | None = None,
) -> list["PlainPass"]:
    """Return a pass of each prompt alone. ``body`` is ``causal`` without its head.

    ``means`` are tokens of each prompt whose mean is read, too.

    Raises `UserError` if the model's hidden states are others than the outputs of its blocks by more than the
    tolerance, relative to their length, if values are not finite, and if memory runs out.
    """
    ends = {len(prompt) - 1 for prompt in tokens}
    try:
        alone = [
            PlainPass(causal, body, prompt, ends, sites, name, means[number] if means is not None else None)
            for number, prompt in enumerate(tokens)
        ]
    except torch.OutOfMemoryError:
        raise UserError(
            f"{name}: memory ran out with one prompt of up to {max(map(len, tokens))} tokens through the plain model, "
            "with which it is compared; lower `max_words`, or use a larger machine."
        ) from None
    for one in alone:
        one.check_hidden_states(tolerance)
    return alone


def looking_ahead(alone: Sequence["PlainPass"], limit: int) -> NDArray[np.float64]:
    """Return how much prompts change what their own beginnings gave alone: 0 in a causal model, but for rounding.

    A row for each pair of which one prompt begins the other, shape (n_pairs, n_layers). Beyond the limit a model turns
    all positions of a prompt otherwise, so that both lie on one side of it; 0 is no limit.
    """
    changes = [
        [relative(other[longer.place_of(one)], mine[-1]) for other, mine in zip(longer.residual, one.residual)]
        for one, longer in itertools.permutations(alone, 2)
        if len(one.prompt) < len(longer.prompt)
        and longer.prompt[: len(one.prompt)] == one.prompt
        and (len(one.prompt) > limit) == (len(longer.prompt) > limit)
    ]
    return np.array(changes)


def run_plain(causal: "PreTrainedModel", prompt: list[int], **options: Any) -> Any:
    """Return what the whole model gives out for one prompt, its logits of the last token alone if it can."""
    # Logits of every token would be the most of such a pass.
    few = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(causal.forward).parameters else {}
    ids = torch.tensor([prompt], device=input_device(causal))
    with torch.inference_mode():
        return causal(input_ids=ids, use_cache=False, **few, **options)


class PlainPass:
    """One prompt through the whole model. Vectors are kept at a few places, of which the last is the last token's.

    Before these may be kept the mean over some tokens.
    """

    def __init__(
        self,
        causal: "PreTrainedModel",
        body: "PreTrainedModel",
        prompt: list[int],
        ends: set[int],
        sites: Sequence[str],
        name: str,
        mean: Places | None = None,
    ) -> None:
        self.prompt, self._body, self._name, self._mean = prompt, body, name, mean
        self._places = sorted(end for end in ends if end < len(prompt))
        self._found: dict[str, list[Vectors]] = {site: [] for site in sites}
        listed = blocks(body, name)
        places = places_of(body, [site for site in sites if site != EMBEDDING], name)
        with Hooks() as hooks:
            if EMBEDDING in sites:
                hooks.before(listed[0], self._keeper(EMBEDDING))
            for block, inside in zip(listed, places):
                for site, at in inside.items():
                    listen(hooks, block, at, self._keeper(site))
            states = run_plain(causal, prompt, output_hidden_states=True).hidden_states
        check_every_block(self._found, listed, name)
        self._hidden = [self._vectors(layer) for layer in states or ()]

    def _keeper(self, site: str) -> Keep:
        return lambda states: self._found[site].append(self._vectors(states))

    def _vectors(self, states: torch.Tensor) -> Vectors:
        """Return what is kept of states, the mean, if it is, and the places, (n_kept, d_model)."""
        vectors = one_a_token(states, 1, len(self.prompt), self._body, self._name)
        kept = vectors[self._places].float().cpu().numpy()
        if self._mean is not None:
            kept = np.concatenate([vectors[self._mean].float().mean(dim=0, keepdim=True).cpu().numpy(), kept])
        if not np.isfinite(kept).all():
            raise UserError(
                f"models.{self._name}: a text of {len(self.prompt)} tokens gives values that are no finite numbers, in "
                "the plain model already; use a wider weight format."
            )
        return kept

    @property
    def residual(self) -> list[Vectors]:
        """What is kept of the outputs of the blocks, each (n_kept, d_model)."""
        return self._found["residual"]

    def place_of(self, shorter: "PlainPass") -> int:
        """Return the number, among what is kept, of the place at which a shorter prompt ends."""
        return self._places.index(len(shorter.prompt) - 1) + (self._mean is not None)

    def at(self, site: str, position: str) -> Vectors:
        """Return the vectors of the last token, if that is the position, else the means, (n_layers, d_model)."""
        return np.stack([layer[-1 if position == LAST else 0] for layer in self._found[site]])

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
        raise not_supported(
            self._body, self._name, "the outputs of its blocks are not what transformers gives as its hidden states"
        )
