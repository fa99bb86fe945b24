"""What a causal model does after its blocks, with states that are there already.

Heads scale or bend their logits, each architecture by a key of its own (``logit_scale``, ``logits_scaling``,
``final_logit_softcapping``, ...). So the model's own code is run, and no formula of ours.
"""

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Head:
    """A model of which only what comes after its blocks is run. The model itself stays as it is."""

    def __init__(self, causal: "PreTrainedModel", body: "PreTrainedModel") -> None:
        path = next(path for path, module in causal.named_modules() if module is body)
        self._given = _Given()
        self._model = _with_given_states(causal, path.split(".") if path else [], self._given)
        self._weights = causal.get_output_embeddings().weight

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return logits, (n_prompts, n_vocabulary) in float32, of states after the final norm, (n_prompts, d_model)."""
        dtype = self._weights.dtype if self._weights.is_floating_point() else states.dtype
        self._given.states = states[:, None].to(dtype)
        # Any token: what it would become inside is given already.
        tokens = torch.zeros((len(states), 1), dtype=torch.long, device=states.device)
        with torch.inference_mode():
            return self._model(input_ids=tokens, use_cache=False).logits[:, -1].float()


class _Given:
    """Stands in the place of the blocks, and gives out states that are there already."""

    states: torch.Tensor

    def __call__(self, *_: Any, **_named: Any) -> "_Output":
        return _Output(self.states)


def _with_given_states(module: nn.Module, path: list[str], given: _Given) -> nn.Module:
    """Return a copy of a module, weights shared, in which the one at a path gives out the states that are given."""
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    # accelerate puts a forward of its own into modules that it moves, bound to the original.
    copied.__dict__.pop("forward", None)
    if path:
        first, *rest = path
        copied._modules[first] = _with_given_states(module.get_submodule(first), rest, given)
    else:
        copied.forward = given  # type: ignore[method-assign,assignment]
        copied._forward_hooks, copied._forward_pre_hooks = OrderedDict(), OrderedDict()  # They are for real passes.
    return copied


class _Output:
    """An output of a model without a head that has nothing but states."""

    def __init__(self, states: torch.Tensor) -> None:
        self.last_hidden_state = states

    def __getitem__(self, _: object) -> torch.Tensor:
        return self.last_hidden_state

    def __getattr__(self, _: str) -> None:
        return None
