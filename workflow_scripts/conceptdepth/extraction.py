"""Last-token activations of every layer, for all prompts of a cell.

The prefix that all prompts share goes through the model once, the rest in packed passes
(`conceptdepth.packing`) on top of its keys and values, through the model without its head. Hooks at the
sites keep the vectors of the prompts' last tokens and nothing else; a pass ends at the last site of the last
layer. Each pass is written where it belongs at once, so memory does not grow with the number of prompts.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from transformers.cache_utils import Cache, DynamicLayer

from conceptdepth.controls import EMBEDDING
from conceptdepth.errors import NotWanted, UserError
from conceptdepth.models import input_device
from conceptdepth.packing import ROW_TOKENS, Batch, batches, pack, split_prefix
from conceptdepth.sites import blocks, site_module

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

OUTPUT = "the model's output"
"""What errors call the last layer's output after the final norm, which `last_states` reads."""


class Destination(Protocol):
    """An array of shape (n_layers, n_prompts, d_model), in memory or in a file."""

    def __setitem__(self, where: tuple[slice, NDArray[np.int64]], values: Vectors) -> None:
        """Put the vectors of some prompts, in ascending order, into all layers."""


@dataclass
class Work:
    """What an extraction took."""

    batch_tokens: int
    """Most tokens of a pass: halved each time that memory ran out."""
    tokens_computed: int = 0
    """Tokens of prompts that went through the model: fewer than the prompts have, as they share prefixes."""
    tokens_padded: int = 0
    """Tokens that went through it to fill rows up."""
    passes: int = 0
    """Forward passes."""

    def add(self, batch: Batch) -> None:
        """Count a pass."""
        tokens = sum(len(row.tokens) for row in batch.rows)
        self.tokens_computed += tokens
        self.tokens_padded += len(batch.rows) * batch.width - tokens
        self.passes += 1


class _Finished(Exception):
    """Ends a forward pass once the last wanted vectors are kept."""


def tokenize(tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each prompt, ending with the last token of the text itself.

    Special tokens go before a prompt as the tokenizer adds them; one that it would add after the prompt is
    dropped, because the probe reads the last token of the text.
    """
    encoded = tokenizer(list(prompts), return_special_tokens_mask=True)
    tokens = []
    for prompt, ids, special in zip(prompts, encoded["input_ids"], encoded["special_tokens_mask"]):
        end = len(ids)
        while end and special[end - 1]:
            end -= 1
        if not end:
            raise UserError(f"the prompt {prompt!r} has no tokens.")
        tokens.append(list(ids[:end]))
    return tokens


def shape(body: "PreTrainedModel", name: str) -> tuple[int, int]:
    """Return (n_layers, d_model)."""
    return len(blocks(body, name)), body.config.get_text_config().hidden_size


def site_modules(body: "PreTrainedModel", sites: Sequence[str], name: str) -> dict[str, str]:
    """Return for each site the module of a block that it is read from; "" is the block itself."""
    return {site: site_module(site, body.config.get_text_config(), name) for site in sites}


def extract(
    body: "PreTrainedModel",
    tokens: Sequence[list[int]],
    *,
    into: Mapping[str, Destination],
    batch_tokens: int,
    fixed: bool = False,
    name: str,
    wanted: Callable[[], bool] = lambda: True,
) -> Work:
    """Put the activations at each prompt's last token into a destination for each site, or `EMBEDDING`.

    ``tokens`` are token ids as `tokenize` gives them, ``batch_tokens`` the most tokens of one forward pass,
    ``fixed`` tells that results depend on it, so that it must not be halved when memory runs out, ``name`` is
    the model's name for errors; ``wanted`` is asked before each pass whether to go on. Raises `NotWanted` if not,
    and `UserError` for a prompt that is too long for the model, a site that it does not have, values that are not
    finite, and too little memory for one prompt.
    """
    _check_lengths(body, tokens, name)
    with _Collector(body, list(into), name) as collector:
        return _in_passes(collector.run, tokens, into, batch_tokens=batch_tokens, fixed=fixed, name=name, wanted=wanted)


def last_states(
    body: "PreTrainedModel", tokens: Sequence[list[int]], *, batch_tokens: int, fixed: bool = False, name: str
) -> Vectors:
    """Return what the head would get at each prompt's last token, shape (n_prompts, d_model).

    That is the last layer's output after the final norm. Arguments and errors are those of `extract`.
    """
    _check_lengths(body, tokens, name)
    blocks(body, name)  # Only architectures whose masks are known here.

    def run(batch: Batch, cache: Cache | None) -> dict[str, Vectors]:
        states = forward(body, batch, cache).last_hidden_state
        vectors = states.reshape(-1, states.shape[-1])[torch.from_numpy(batch.last).to(states.device)]
        return {OUTPUT: vectors[None].float().cpu().numpy()}

    found = np.empty((1, len(tokens), body.get_input_embeddings().embedding_dim), np.float32)
    _in_passes(run, tokens, {OUTPUT: found}, batch_tokens=batch_tokens, fixed=fixed, name=name)
    return found[0]


Run = Callable[[Batch, Cache | None], dict[str, Vectors]]
"""Runs a pass and returns the vectors of its prompts for each site, (n_layers, n_prompts, d_model)."""


def _in_passes(
    run: Run,
    tokens: Sequence[list[int]],
    into: Mapping[str, Destination],
    *,
    batch_tokens: int,
    fixed: bool,
    name: str,
    wanted: Callable[[], bool] = lambda: True,
) -> Work:
    """Put what ``run`` returns for all prompts into the destinations, pass by pass; see `extract`."""
    prefix, rest = split_prefix(tokens)
    work = Work(batch_tokens)
    waiting = np.arange(len(tokens))
    with (
        torch.inference_mode(),
        tqdm(total=len(tokens), unit="prompt", desc="extracting", mininterval=5) as bar,
    ):
        try:
            cache = _prefix_cache(run, prefix, work)
        except torch.OutOfMemoryError:
            raise _too_little_memory(name) from None
        while len(waiting):
            rows = pack([rest[index] for index in waiting], min(ROW_TOKENS, work.batch_tokens))
            done: list[NDArray[np.int64]] = []
            for batch in batches(rows, offset=len(prefix), capacity=work.batch_tokens):
                if not wanted():
                    raise NotWanted
                try:
                    vectors = run(batch, cache)
                except torch.OutOfMemoryError:
                    work.batch_tokens = _fewer(batch, work.batch_tokens, fixed, name)
                    break
                prompts = waiting[batch.prompts]
                for site, values in vectors.items():
                    _check_finite(values, site, name)
                    order = np.argsort(prompts)
                    into[site][:, prompts[order]] = values[:, order]
                work.add(batch)
                done.append(batch.prompts)
                bar.update(len(prompts))
            waiting = np.delete(waiting, np.concatenate(done)) if done else waiting
    return work


def _fewer(batch: Batch, batch_tokens: int, fixed: bool, name: str) -> int:
    """Return the tokens of a pass to go on with after memory ran out."""
    fewer = min(batch_tokens, len(batch.rows) * batch.width) // 2
    if fixed:
        raise UserError(
            f"{name}: memory ran out, and the results of this weight format depend on the tokens of a pass; lower "
            "`activations.fixed_batch_tokens`."
        )
    if not fewer:
        raise _too_little_memory(name)
    log.warning("memory ran out; going on with %d tokens a pass", fewer)
    return fewer


def _too_little_memory(name: str) -> UserError:
    return UserError(f"{name}: memory ran out with a single prompt; lower `max_words`, or use a larger machine.")


class _Collector:
    """Hooks at the sites, for as long as the context lasts, and for the thread that made them.

    Other threads may run other prompts through the same model at the same time.
    """

    def __init__(self, body: "PreTrainedModel", sites: Sequence[str], name: str) -> None:
        self._body = body
        self._blocks = blocks(body, name)
        self._sites = sites
        self._paths = site_modules(body, [site for site in sites if site != EMBEDDING], name)
        # A block's own output comes after every output inside it.
        self._last_site = max(self._paths, key=lambda site: self._paths[site] == "")
        self._thread = threading.get_ident()
        self._last_tokens = torch.empty(0, dtype=torch.long)
        self._found: dict[str, list[torch.Tensor]] = {}

    def __enter__(self) -> "_Collector":
        self._handles = [
            block.get_submodule(path).register_forward_hook(self._hook(site, layer))
            for layer, block in enumerate(self._blocks)
            for site, path in self._paths.items()
        ]
        if EMBEDDING in self._sites:
            self._handles.append(self._blocks[0].register_forward_pre_hook(self._keep_embedding, with_kwargs=True))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, site: str, layer: int) -> Callable[..., None]:
        def keep(module: Any, arguments: Any, output: Any) -> None:
            if threading.get_ident() != self._thread:
                return
            self._keep(site, output[0] if isinstance(output, tuple) else output)
            if layer == len(self._blocks) - 1 and site == self._last_site:
                raise _Finished

        return keep

    def _keep_embedding(self, _module: Any, arguments: Any, named: dict[str, Any]) -> None:
        if threading.get_ident() == self._thread:
            self._keep(EMBEDDING, arguments[0] if arguments else named["hidden_states"])

    def _keep(self, site: str, states: torch.Tensor) -> None:
        vectors = states.reshape(-1, states.shape[-1])
        self._found[site].append(vectors[self._last_tokens.to(vectors.device)])

    def run(self, batch: Batch, cache: Cache | None) -> dict[str, Vectors]:
        """Return the vectors of a batch's last tokens for each site, (n_layers, n_prompts, d_model)."""
        self._last_tokens = torch.from_numpy(batch.last)
        self._found = {site: [] for site in self._sites}
        forward(self._body, batch, cache)
        # Only here, since each copy from a GPU waits for it.
        return {site: torch.stack([v.float().cpu() for v in found]).numpy() for site, found in self._found.items()}


class PrefixLayer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed.
    """The keys and values of one layer for the prefix: kept once, and put before those of every later pass."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values, each (n_rows, n_heads, prefix + width, d_head)."""
        if not self.is_initialized:
            return super().update(key_states, value_states)
        pairs = ((self.keys, key_states), (self.values, value_states))
        keys, values = (torch.cat([kept.expand(len(new), -1, -1, -1), new], dim=-2) for kept, new in pairs)
        return keys, values


def _prefix_cache(run: Run, prefix: list[int], work: Work) -> Cache | None:
    """Run the prefix and return its keys and values: all of them in every layer, since the masks have the windows."""
    if not prefix:
        return None
    cache = Cache(layer_class_to_replicate=PrefixLayer)
    (row,) = pack([prefix], len(prefix))
    batch = Batch([row], offset=0)
    run(batch, cache)
    work.add(batch)
    return cache


def forward(body: "PreTrainedModel", batch: Batch, cache: Cache | None = None) -> Any:
    """Run a batch through the model, after the prefix in ``cache``, and return its output.

    Hooks take what is wanted from inside; None if one of them ended the pass.
    """
    device = input_device(body)
    with suppress(_Finished):
        return body(
            input_ids=torch.from_numpy(batch.tokens).to(device),
            position_ids=torch.from_numpy(batch.positions).to(device),
            attention_mask=_attention_mask(body, batch, device),
            past_key_values=cache,
            use_cache=cache is not None,
        )
    return None


def _attention_mask(
    body: "PreTrainedModel", batch: Batch, device: torch.device
) -> torch.Tensor | dict[str, torch.Tensor]:
    """Return the trees as additive attention masks, each (n_rows, 1, width, prefix + width).

    Models whose layers differ in attention take one mask per kind of layer.
    """
    config = body.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - {"full_attention"}:
        windows = {"full_attention": None, "sliding_attention": window}
        return {kind: _additive(batch.visible(width), body.dtype, device) for kind, width in windows.items()}
    # Mistral and Phi-3 have a window in every layer, and no layer_types.
    return _additive(batch.visible(None if kinds else window), body.dtype, device)


def _additive(visible: NDArray[np.bool_], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    blocked = torch.from_numpy(~visible)[:, None].to(device)
    return torch.zeros_like(blocked, dtype=dtype).masked_fill(blocked, torch.finfo(dtype).min)


def _check_lengths(body: "PreTrainedModel", tokens: Sequence[list[int]], name: str) -> None:
    longest = max(map(len, tokens))
    allowed = getattr(body.config.get_text_config(), "max_position_embeddings", longest)
    if longest > allowed:
        raise UserError(f"a prompt has {longest} tokens, but {name} takes at most {allowed}; set `max_words`.")


def _check_finite(values: Vectors, site: str, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
    if len(bad):
        raise UserError(f"{name}: the activations at {site} of layer {bad[0]} are not all finite numbers.")
