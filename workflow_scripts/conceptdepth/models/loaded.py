"""The model that a process has loaded, for all that want it."""

import gc
import json
import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from conceptdepth.models.loading import input_device, load_model, load_tokenizer, one_device, resolve_device
from conceptdepth.models.weights import check_weights, model_folder, staged

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """Which model is wanted, in which weight format, and where it is to run."""

    model: str
    """Path of ``model.json``."""
    name: str
    """Name of the model in the registry."""
    quantization: str
    """Weight format, one of `conceptdepth.models.loading.QUANTIZATIONS`."""
    device: str
    """``auto``, ``cpu`` or ``cuda``."""
    max_memory: dict[str, str] | None = None
    """Most memory for weights, by GPU number and ``cpu``; see `conceptdepth.models.loading.load_model`."""
    scratch: str | None = None
    """A folder on this machine's own disk for a copy of the weights; None reads them where they are."""
    trust_remote_code: bool = False
    """Whether code that comes with the model may run."""


class LoadedModel:
    """A tokenizer and a causal model, loaded when they are first wanted."""

    tokenizer: "PreTrainedTokenizerBase"
    causal: "PreTrainedModel"
    """With its head, which answers need; ``base_model`` is what comes before it."""

    def __init__(self) -> None:
        self.users = 0
        """How many are using the model."""
        self.is_loaded = False
        self._lock = threading.Lock()
        self._disk: tempfile.TemporaryDirectory[str] | None = None
        """For weights that fit into no memory."""

    def load(self, request: ModelRequest) -> None:
        """Load the model that is requested, unless that is done."""
        with self._lock:
            if self.is_loaded:
                log.info("%s as %s was loaded already", request.name, request.quantization)
                return
            started = time.perf_counter()
            copy = staged(request.model, request.scratch) if request.scratch else None
            check_weights(request.model, ".", copy)
            folder = copy or model_folder(request.model)
            if request.max_memory:
                self._disk = tempfile.TemporaryDirectory(prefix="conceptdepth-weights-")
            _free_memory()  # Of a model that was let go a moment ago: what is free decides where weights go.
            self.tokenizer = load_tokenizer(folder, trust_remote_code=request.trust_remote_code)
            self.causal = load_model(
                folder,
                quantization=request.quantization,
                device=resolve_device(request.device),
                max_memory=request.max_memory,
                offload_folder=self._disk.name if self._disk else None,
                trust_remote_code=request.trust_remote_code,
            )
            self._first_pass()
            self.is_loaded = True
            seconds = time.perf_counter() - started
            log.info("loaded %s as %s on %s in %.1f s", request.name, request.quantization, self.causal.device, seconds)

    def _first_pass(self) -> None:
        """Run one token: bitsandbytes finishes its layers in their first pass, which must not be two at once."""
        import torch

        with torch.inference_mode():
            self.causal(torch.zeros((1, 1), dtype=torch.long, device=input_device(self.causal)), use_cache=False)

    @contextmanager
    def tokenizing(self) -> Iterator["PreTrainedTokenizerBase"]:
        """Give the tokenizer to one request at a time: calls change its settings."""
        with self._lock:
            yield self.tokenizer

    @contextmanager
    def passes(self) -> Iterator[None]:
        """Allow forward passes, for all requests at once unless the model's weights move between devices."""
        with nullcontext() if one_device(self.causal) else self._lock:
            yield


class LoadedModels:
    """The models of a process, one at a time.

    Requests for one model share it, also at the same time. Another model waits until nobody uses the first, whose
    memory is then given back: transformers changes PyTorch's default dtype for the whole process while it
    loads, so that no pass may run meanwhile.
    """

    def __init__(self) -> None:
        self._key: tuple[str, ...] | None = None
        """What the requests for the model have in common."""
        self._model = LoadedModel()
        self._changed = threading.Condition()

    @contextmanager
    def use(self, request: ModelRequest) -> Iterator[LoadedModel]:
        """Give the model that is requested, loaded, for as long as the block lasts."""
        # The description's text is part of the key: the model may have been fetched anew.
        description, memory = Path(request.model).read_text("utf-8"), json.dumps(request.max_memory)
        key = (description, request.quantization, request.device, memory, str(request.trust_remote_code))
        with self._changed:
            self._changed.wait_for(lambda: key == self._key or not self._model.users)
            if key != self._key:
                self._key, self._model = key, LoadedModel()
            model = self._model
            model.users += 1
        try:
            model.load(request)
            yield model
        finally:
            with self._changed:
                model.users -= 1
                self._changed.notify_all()


def _free_memory() -> None:
    import torch

    gc.collect()
    torch.cuda.empty_cache()
