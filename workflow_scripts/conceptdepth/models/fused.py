"""Fused kernels: the parts of a model's blocks compiled by PyTorch.

Norms, rotary embeddings and activations are small operations of which each reads and writes all states of a pass:
compiled, they become few kernels, of any architecture. Compiling takes seconds once a load (PyTorch keeps what it made
on disk for the next one), so that it pays where much is to be computed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from conceptdepth.models.devices import one_device
from conceptdepth.models.sites import blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WORTH_SECONDS = 60
"""Seconds of matrix products from which on compiling pays: it takes about ten, and saves about a fifth."""

TERAFLOPS = 400
"""Speed of a GPU in 16 bits that work is divided by."""

SIXTEEN_BITS = (torch.bfloat16, torch.float16)


def pays(body: "PreTrainedModel", tokens: int) -> bool:
    """Tell whether compiling saves time: with unquantized 16-bit weights on one GPU, if many tokens are to be computed.

    In 32 bits products take nearly all of the time, and quantized layers are not compiled.
    """
    if body.device.type != "cuda" or not one_device(body) or {w.dtype for w in body.parameters()} - {*SIXTEEN_BITS}:
        return False
    operations = 2 * sum(weights.numel() for weights in body.parameters()) * tokens
    return operations / (TERAFLOPS * 1e12) >= WORTH_SECONDS


class _Thread(threading.local):
    fused = False


_thread = _Thread()
_wrapping = threading.Lock()


@contextmanager
def fused(body: "PreTrainedModel", name: str) -> Iterator[None]:
    """Run the parts of the blocks compiled, in this thread, for as long as the context lasts."""
    with _wrapping:
        for block in blocks(body, name):
            for part in block.children():
                if not isinstance(part.forward, _Either):
                    part.forward = _Either(part.forward)
    _thread.fused = True
    try:
        yield
    finally:
        _thread.fused = False


class _Either:
    """A module's forward, compiled where that is wanted."""

    def __init__(self, plain: Callable[..., Any]) -> None:
        self._plain = plain
        self._compiled = torch.compile(plain, dynamic=True)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return (self._compiled if _thread.fused else self._plain)(*arguments, **named)
