"""Hooks on modules that serve one thread: others may run other prompts through the same model at the same time."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
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

_WRITING = threading.Lock()
"""Held while hooks of any module are put in the place of those that it has."""


class Hooks:
    """Hooks for as long as the context lasts, and for the thread that made them.

    PyTorch goes through a module's hooks while it runs, and fails if one comes or goes meanwhile. Here they are never
    changed in place: a pass that is under way goes on with those it began with.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._removals: list[Callable[[], None]] = []

    def __enter__(self) -> "Hooks":
        return self

    def __exit__(self, *_: object) -> None:
        for remove in self._removals:
            remove()

    def before(self, module: "nn.Module", keep: Keep) -> None:
        """Call ``keep`` with the states that a module gets: the first tensor among its arguments."""

        # A pass of another thread may meet a hook that takes named arguments no more.
        def hook(_module: Any, arguments: tuple[Any, ...], named: Mapping[str, Any] = NO_NAMES) -> None:
            if threading.get_ident() == self._thread:
                for value in (*arguments, *named.values()):
                    if isinstance(value, torch.Tensor):
                        keep(value)
                        break

        # PyTorch is to know that a hook takes named arguments before it finds the hook.
        self._put(module, _forward_pre_hooks_with_kwargs=True, _forward_pre_hooks=hook)

    def after(self, module: "nn.Module", keep: Keep) -> None:
        """Call ``keep`` with the states that a module gives: its output, or the first one of several."""
        self.whole(module, lambda output: keep(output[0] if isinstance(output, tuple) else output))

    def whole(self, module: "nn.Module", keep: Callable[[Any], None]) -> None:
        """Call ``keep`` with the whole output of a module."""

        def hook(_module: Any, _arguments: Any, output: Any) -> None:
            if threading.get_ident() == self._thread:
                keep(output)

        self._put(module, _forward_hooks=hook)

    def change(self, module: "nn.Module", change: Change) -> None:
        """Let a module give other states: in the place of its output, or of the first one of several."""

        def hook(_module: Any, _arguments: Any, output: Any) -> Any:
            if threading.get_ident() != self._thread:
                return output
            return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

        self._put(module, _forward_hooks=hook)

    def _put(self, module: "nn.Module", **entries: Any) -> None:
        """Add a hook to a module: to each of its tables of that name, the entry of that name."""
        key = object()  # PyTorch counts its own hooks.
        for table, entry in entries.items():
            with _WRITING:
                setattr(module, table, OrderedDict([*getattr(module, table).items(), (key, entry)]))
        self._removals.append(partial(_remove, module, reversed(list(entries)), key))


def _remove(module: "nn.Module", tables: Iterable[str], key: object) -> None:
    for table in tables:
        with _WRITING:
            left = [(other, entry) for other, entry in getattr(module, table).items() if other is not key]
            setattr(module, table, OrderedDict(left))
