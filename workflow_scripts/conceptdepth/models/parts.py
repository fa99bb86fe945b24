"""Copies of a model that share its weights and have other parts: some that give out states that are there already."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from conceptdepth.models.devices import input_device
from conceptdepth.models.hooks import Hooks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def like_output_of(block: nn.Module, body: "PreTrainedModel") -> Callable[[torch.Tensor], Any]:
    """Return what puts states into the form in which a block gives them out: alone, or as the first of several."""
    seen: list[Any] = []
    with Hooks() as hooks, torch.inference_mode():
        hooks.whole(block, seen.append)
        body(input_ids=torch.zeros((1, 1), dtype=torch.long, device=input_device(body)), use_cache=False)
    output = seen[0]
    return (lambda states: (states, *output[1:])) if isinstance(output, tuple) else (lambda states: states)


class Given:
    """Stands in the place of blocks, and gives out states that are there already, in the form that is expected."""

    states: torch.Tensor

    def __init__(self, form: Callable[[torch.Tensor], Any]) -> None:
        self._form = form

    def __call__(self, *_: Any, **_named: Any) -> Any:
        """Give them out, whatever the block would get."""
        return self._form(self.states)


def path_to(module: nn.Module, part: nn.Module) -> list[str]:
    """Return the names that lead from a module to a part of it."""
    path = next(path for path, inner in module.named_modules(remove_duplicate=False) if inner is part)
    return path.split(".") if path else []


def _copy(module: nn.Module) -> nn.Module:
    """Return a copy of a module, with its weights and parts."""
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    # accelerate puts a forward of its own into modules that it moves, bound to the original.
    copied.__dict__.pop("forward", None)
    return copied


def giving(module: nn.Module, given: Given) -> nn.Module:
    """Return a copy of a module that gives out the states that are given."""
    copied = _copy(module)
    copied.forward = given  # type: ignore[method-assign,assignment]
    copied._forward_hooks, copied._forward_pre_hooks = OrderedDict(), OrderedDict()  # They are for real passes.
    return copied


def with_part(module: nn.Module, path: list[str], part: nn.Module) -> Any:
    """Return a copy of a module, weights shared, that has another part at a path."""
    if not path:
        return part
    first, *rest = path
    copied = _copy(module)
    copied._modules[first] = with_part(module.get_submodule(first), rest, part)
    return copied
