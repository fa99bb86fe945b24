"""Hooks on modules that serve one thread: others may run other prompts through the same model at the same time."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn

Keep = Callable[[torch.Tensor], None]
"""What is done with the states that a module gets or gives."""

Change = Callable[[torch.Tensor], torch.Tensor]
"""Makes the states that a module gives others."""

NO_NAMES: Mapping[str, Any] = {}
"""Named arguments of a call that gives none."""


class Hooks:
    """Hooks for as long as the context lasts, and for the thread that made them."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._handles: list[Any] = []

    def __enter__(self) -> "Hooks":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def before(self, module: "nn.Module", keep: Keep) -> None:
        """Call ``keep`` with the states that a module gets: the first tensor among its arguments."""

        # PyTorch registers a hook and then that it takes named arguments: a pass of another thread may come between.
        def hook(_module: Any, arguments: tuple[Any, ...], named: Mapping[str, Any] = NO_NAMES) -> None:
            if threading.get_ident() == self._thread:
                for value in (*arguments, *named.values()):
                    if isinstance(value, torch.Tensor):
                        keep(value)
                        break

        self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def after(self, module: "nn.Module", keep: Keep) -> None:
        """Call ``keep`` with the states that a module gives: its output, or the first one of several."""

        def hook(_module: Any, _arguments: Any, output: Any) -> None:
            if threading.get_ident() == self._thread:
                keep(output[0] if isinstance(output, tuple) else output)

        self._handles.append(module.register_forward_hook(hook))

    def change(self, module: "nn.Module", change: Change) -> None:
        """Let a module give other states: in the place of its output, or of the first one of several."""

        def hook(_module: Any, _arguments: Any, output: Any) -> Any:
            if threading.get_ident() != self._thread:
                return output
            return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

        self._handles.append(module.register_forward_hook(hook))
