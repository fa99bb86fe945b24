"""Vectors on their way from the model to where they belong, while the next ones are computed.

A few of them leave at a time: each layer's vectors are copied into pinned memory on a stream of their own, and threads
check and write them. Nothing waits but when too many are on their way.
"""

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from conceptdepth.ground.errors import UserError

Vectors = NDArray[np.float32]

MOST_BYTES = 400_000_000
"""Most bytes of vectors on their way, unless one layer's are more; in pinned memory if they come from a GPU."""

WRITERS = 4
"""Threads that check and write."""


class Destination(Protocol):
    """An array of shape (n_layers, n_prompts, d_model), in memory or in a file."""

    def __setitem__(self, where: tuple[int, NDArray[np.int64]], values: Vectors) -> None:
        """Put the vectors of some prompts, whose indices ascend, into a layer. Threads may do so side by side."""


class Leaving:
    """Takes vectors from the device and puts them into destinations, by site, for as long as the context lasts.

    The context ends when all have arrived. Raises `UserError` if a value is not finite: some time after it was taken.
    """

    def __init__(self, into: Mapping[str, Destination], name: str) -> None:
        self._into, self._name = into, name
        self._bytes = 0
        self._left = Condition()
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="writer")
        self._under_way: deque[Future[None]] = deque()
        self._streams: dict[torch.device, torch.cuda.Stream] = {}
        self.copies = 0
        """How many layers' vectors were taken."""
        self.waits = 0
        """How often one had to wait for room."""

    def __enter__(self) -> "Leaving":
        return self

    def __exit__(self, error: object, *_: object) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._writers.shutdown(cancel_futures=True)

    def take(self, site: str, layer: int, vectors: torch.Tensor, prompts: NDArray[np.int64]) -> None:
        """Take the vectors of some prompts, (n_prompts, d_model), whose indices ascend."""
        while self._under_way and self._under_way[0].done():
            self._under_way.popleft().result()
        self.copies += 1
        self._wait_for_room(4 * vectors.numel())
        host, arrived = self._copied(vectors)
        with self._left:
            self._bytes += 4 * vectors.numel()
        self._under_way.append(self._writers.submit(self._put, site, layer, host, arrived, prompts))

    def wait(self) -> None:
        """Wait until all that were taken have arrived."""
        while self._under_way:
            self._under_way.popleft().result()

    def _wait_for_room(self, size: int) -> None:
        def there_is_room() -> bool:
            return not self._bytes or self._bytes + size <= MOST_BYTES

        with self._left:
            self.waits += not there_is_room()
            self._left.wait_for(there_is_room)

    def _copied(self, vectors: torch.Tensor) -> tuple[torch.Tensor, Callable[[], Any]]:
        """Return memory of this machine with the vectors in float32, and what waits until they are there."""
        if not vectors.is_cuda:
            return vectors.float(), lambda: None
        wide = vectors.float()
        if wide.device not in self._streams:
            self._streams[wide.device] = torch.cuda.Stream(wide.device)
        stream = self._streams[wide.device]
        stream.wait_stream(torch.cuda.current_stream(wide.device))
        host = torch.empty(wide.shape, dtype=torch.float32, pin_memory=True)  # PyTorch keeps it for the next one.
        with torch.cuda.stream(stream):
            host.copy_(wide, non_blocking=True)
            wide.record_stream(stream)
            event = stream.record_event(torch.cuda.Event(blocking=True))  # Those that wait leave the cores alone.
        return host, event.synchronize

    def _put(
        self, site: str, layer: int, host: torch.Tensor, arrived: Callable[[], Any], prompts: NDArray[np.int64]
    ) -> None:
        try:
            arrived()
            values = host.numpy()
            if not np.isfinite(values).all():
                raise UserError(f"{self._name}: the activations at {site} of layer {layer} are not all finite numbers.")
            self._into[site][layer, prompts] = values
        finally:
            with self._left:
                self._bytes -= 4 * host.numel()
                self._left.notify_all()
