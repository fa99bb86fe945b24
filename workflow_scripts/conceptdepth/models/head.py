"""What a causal model does after its blocks, with states that are there already.

Heads scale or bend their logits, each architecture by a key of its own (``logit_scale``, ``logits_scaling``,
``final_logit_softcapping``, ...). So the model's own code is run, and no formula of ours.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from conceptdepth.models.devices import input_device
from conceptdepth.models.parts import Given, giving, like_output_of, path_to, with_part
from conceptdepth.models.sites import blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Head:
    """A model of which only what comes after its blocks is run. The model itself stays as it is."""

    def __init__(self, causal: "PreTrainedModel", body: "PreTrainedModel", tokens: Sequence[int] | None = None) -> None:
        """Prepare the head; ``tokens`` are those whose logits are wanted (None: all of the vocabulary)."""
        head = causal.get_output_embeddings()
        self._given = Given(_Output)
        self._model = with_part(causal, path_to(causal, body), giving(body, self._given))
        self._weights = head.weight
        rows = None if tokens is None else _rows(head, tokens)
        if rows is not None:
            self._model = with_part(self._model, path_to(causal, head), rows)
        self._columns = slice(None) if tokens is None or rows is not None else list(tokens)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return logits, (n_prompts, n_tokens) in float32, of states after the final norm, (n_prompts, d_model)."""
        dtype = self._weights.dtype if self._weights.is_floating_point() else states.dtype
        self._given.states = states[:, None].to(dtype)
        # Any token: what it would become inside is given already.
        tokens = torch.zeros((len(states), 1), dtype=torch.long, device=states.device)
        with torch.inference_mode():
            return self._model(input_ids=tokens, use_cache=False).logits[:, -1, self._columns].float()


WHOLE_AT_A_TIME = 64
"""States whose logits of the whole vocabulary are in memory at a time."""

FEW_AT_A_TIME = 1024
"""States whose logits of a few tokens are."""


class Lens:
    """The final norm and a few rows of the head on the output of any block: the logit lens (nostalgebraist 2020).

    As in `Head` the model's own code is run, here with one block that gives out the states that are there already.
    """

    def __init__(self, causal: "PreTrainedModel", body: "PreTrainedModel", tokens: Sequence[int], name: str) -> None:
        """Prepare the rows of some tokens; ``name`` is the model's in the registry."""
        listed, head = blocks(body, name), causal.get_output_embeddings()
        self._given = Given(like_output_of(listed[-1], body))
        model = with_part(causal, path_to(causal, listed), nn.ModuleList([giving(listed[-1], self._given)]))
        rows = _rows(head, tokens)
        self._model = model if rows is None else with_part(model, path_to(causal, head), rows)
        self._columns = list(tokens) if rows is None else slice(None)
        self._at_a_time = WHOLE_AT_A_TIME if rows is None else FEW_AT_A_TIME
        self._device = input_device(causal)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return logits of the tokens, (n_states, n_tokens) in float32, of outputs of blocks, (n_states, d_model)."""
        return torch.cat([self._logits(some) for some in states.split(self._at_a_time)])

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        self._given.states = states[:, None]
        ids = torch.zeros((len(states), 1), dtype=torch.long, device=self._device)
        with torch.inference_mode():
            return self._model(input_ids=ids, use_cache=False).logits[:, -1, self._columns].float()


def _rows(head: Any, tokens: Sequence[int]) -> nn.Linear | None:
    """Return a head of some rows of another, None if its rows are not at hand: quantized, or kept elsewhere."""
    weight = head.weight
    if type(head) is not nn.Linear or weight.is_meta or hasattr(head, "_hf_hook"):
        return None
    few = nn.Linear(head.in_features, len(tokens), bias=head.bias is not None, device="meta")
    few.weight = nn.Parameter(weight.detach()[list(tokens)], requires_grad=False)
    if head.bias is not None:
        few.bias = nn.Parameter(head.bias.detach()[list(tokens)], requires_grad=False)
    return few


class _Output:
    """An output of a model without a head that has nothing but states."""

    def __init__(self, states: torch.Tensor) -> None:
        self.last_hidden_state = states

    def __getitem__(self, _: object) -> torch.Tensor:
        return self.last_hidden_state

    def __getattr__(self, _: str) -> None:
        return None
