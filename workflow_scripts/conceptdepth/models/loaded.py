"""The model that a process has loaded, for all that want it."""

import gc
import json
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from conceptdepth.ground.errors import UserError, explained
from conceptdepth.ground.files import file_sha256
from conceptdepth.models.chat import Chat, read_texts, read_tokenized
from conceptdepth.models.checkpoint import CONFIG, stored_format
from conceptdepth.models.devices import input_device, one_device, resolve_device
from conceptdepth.models.formats import real_format
from conceptdepth.models.limits import turns_by_length
from conceptdepth.models.loading import load_model, load_tokenizer
from conceptdepth.models.sites import decoder_of
from conceptdepth.models.tokens import Tokenized, check_rules, own_rules
from conceptdepth.models.weights import checked_weights, model_folder, staged

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

Test = TypeVar("Test")


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """Which model is wanted, in which weight format, and where it is to run."""

    model: str
    """Path of ``model.json``."""
    name: str
    """Name of the model in the registry."""
    quantization: str
    """Weight format, one of `conceptdepth.models.formats.QUANTIZATIONS`."""
    device: str
    """``auto``, ``cpu`` or ``cuda``."""
    max_memory: dict[str, str] | None = None
    """Most memory for weights, by GPU number and ``cpu``; see `conceptdepth.models.loading.load_model`."""
    scratch: str | None = None
    """A folder on this machine's own disk for a copy of the weights; None reads them where they are."""
    trust_remote_code: bool = False
    """Whether code that comes with the model may run."""
    tokenizer: str = "class"
    """Whose rules make tokens; see `conceptdepth.models.loading.load_tokenizer`."""


class LoadedModel:
    """A tokenizer and a causal model, loaded when they are first wanted."""

    tokenizer: "PreTrainedTokenizerBase"
    causal: "PreTrainedModel"
    """With its head, which answers need."""
    body: "PreTrainedModel"
    """What comes before the head; of a wrapper of text and images, its text tower."""
    name: str
    """Name of the model in the registry."""
    quantization: str
    """Weight format that it was asked for in."""
    real_format: str
    """What that is: for ``native``, the checkpoint's own."""

    def __init__(self) -> None:
        self.users = 0
        """How many are using the model."""
        self.is_loaded = False
        self._lock = threading.RLock()
        self._tests: dict[Hashable, Any] = {}
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
            folder = copy or model_folder(request.model)
            if request.max_memory:
                self._disk = tempfile.TemporaryDirectory(prefix="conceptdepth-weights-")
            _free_memory()  # Of a model that was let go a moment ago: what is free decides where weights go.
            self.name, self.quantization = request.name, request.quantization
            try:
                with checked_weights(request.model, copy):
                    self._open_tokenizer(folder, request)
                    self._open_model(folder, request)
            except UserError:
                for weights in ("causal", "body"):  # Whoever asks again loads them again.
                    self.__dict__.pop(weights, None)
                raise
            self.is_loaded = True
            seconds = time.perf_counter() - started
            log.info("loaded %s as %s on %s in %.1f s", request.name, request.quantization, self.causal.device, seconds)

    def _open_tokenizer(self, folder: Path, request: ModelRequest) -> None:
        with explained(f"models.{request.name}: its tokenizer cannot be opened"):
            self.tokenizer = load_tokenizer(
                folder, rules=request.tokenizer, trust_remote_code=request.trust_remote_code
            )
            self._own_rules = own_rules(folder)

    def _open_model(self, folder: Path, request: ModelRequest) -> None:
        with explained(f"models.{request.name}: the checkpoint cannot be opened"):
            self.causal = load_model(
                folder,
                name=request.name,
                quantization=request.quantization,
                device=resolve_device(request.device),
                max_memory=request.max_memory,
                offload_folder=self._disk.name if self._disk else None,
                trust_remote_code=request.trust_remote_code,
            )
            self.body = decoder_of(self.causal, request.name)
            stored = stored_format(json.loads((folder / CONFIG).read_text("utf-8")))
            self.real_format = real_format(self.causal, request.quantization, stored)
        with explained(f"models.{request.name}: as {self.real_format} it cannot run a text here"):
            self._first_pass()

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

    def tokens(self, prompts: Sequence[str], chat: Chat | None = None, *, rendering: str = "") -> list[list[int]]:
        """Return the token ids of prompts; see `tokenized`."""
        return [prompt.ids for prompt in self.tokenized(prompts, chat, rendering=rendering)]

    def tokenized(self, prompts: Sequence[str], chat: Chat | None = None, *, rendering: str = "") -> list[Tokenized]:
        """Return the tokens of prompts, by the rules of the checkpoint's own ``tokenizer.json``.

        ``chat`` is what the rendering says of one (`conceptdepth.models.chat`): prompts are then messages of a user.
        Raises `UserError` if the tokenizer's class has other rules (`conceptdepth.models.tokens`), or if the model's
        chat template does not take the rendering.
        """
        with self.tokenizing() as tokenizer:
            read = read_texts(tokenizer, prompts, chat or {}, model=self.name, rendering=rendering)
            check_rules(tokenizer, self._own_rules, [each.text for each in read], self.name, whole=bool(chat))
            return read_tokenized(tokenizer, read, whole=bool(chat))

    def tested(self, test: Callable[[], Test], of: Hashable) -> Test:
        """Return what a test of a thing said: one test of it serves all that use the model while it is loaded."""
        with self._lock:
            if of not in self._tests:
                self._tests[of] = test()
            return self._tests[of]  # type: ignore[no-any-return]  # The one kind of test that there is.

    @contextmanager
    def passes(self) -> Iterator[None]:
        """Allow forward passes, for all requests at once unless they would change something in the model.

        That is where its weights move between devices, or turn positions by factors that depend on the pass.
        """
        with (
            nullcontext()
            if one_device(self.causal) and not turns_by_length(self.body.config.get_text_config())
            else self._lock
        ):
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
        # The description's hash is part of the key: the model may have been fetched anew.
        description, memory = file_sha256(request.model), json.dumps(request.max_memory)
        own = (request.name, request.tokenizer, str(request.trust_remote_code))
        key = (description, request.quantization, request.device, memory, *own)
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
