"""Last-token activations of every layer, for all prompts of a cell.

The prefix that all prompts share goes through the model once, the rest in packed passes
(`conceptdepth.activations.packing`) on top of its keys and values, through the model without its head. Hooks at the
sites keep the vectors of the prompts' last tokens and nothing else; a pass ends at the last site of the last
layer. Each pass is written where it belongs at once, so memory does not grow with the number of prompts.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from transformers.cache_utils import Cache

from conceptdepth.activations.collector import Collector, Vectors
from conceptdepth.activations.forward import PrefixLayer, forward
from conceptdepth.activations.layouts import Layout, layout_of, parts
from conceptdepth.activations.packing import Batch, pack
from conceptdepth.ground.errors import NotWanted, UserError
from conceptdepth.models.limits import most_tokens
from conceptdepth.models.sites import blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

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


def shape(body: "PreTrainedModel", name: str) -> tuple[int, int]:
    """Return (n_layers, d_model)."""
    return len(blocks(body, name)), body.config.get_text_config().hidden_size


def extract(
    body: "PreTrainedModel",
    tokens: Sequence[list[int]],
    *,
    into: Mapping[str, Destination],
    batch_tokens: int,
    fixed: bool = False,
    layout: Layout | None = None,
    name: str,
    wanted: Callable[[], bool] = lambda: True,
) -> Work:
    """Put the activations at each prompt's last token into a destination for each site, or `EMBEDDING`.

    ``tokens`` are token ids as `tokenize` gives them, ``batch_tokens`` the most tokens of one forward pass,
    ``fixed`` tells that results depend on it, so that it must not be halved when memory runs out, ``layout`` how
    prompts share passes (None: as the architecture allows), ``name`` is the model's name for errors; ``wanted`` is
    asked before each pass whether to go on. Raises `NotWanted` if not, and `UserError` for a prompt that is too long
    for the model, blocks that do not hand on one vector a token, values that are not finite, and too little memory for
    one prompt.
    """
    _check_lengths(body, tokens, name)
    with Collector(body, list(into), name) as collector:
        return _in_passes(
            collector.run,
            tokens,
            into,
            body=body,
            layout=layout,
            batch_tokens=batch_tokens,
            fixed=fixed,
            name=name,
            wanted=wanted,
        )


def last_states(
    body: "PreTrainedModel",
    tokens: Sequence[list[int]],
    *,
    batch_tokens: int,
    fixed: bool = False,
    layout: Layout | None = None,
    name: str,
    wanted: Callable[[], bool] = lambda: True,
) -> Vectors:
    """Return what the head would get at each prompt's last token, shape (n_prompts, d_model).

    That is the last layer's output after the final norm. Arguments and errors are those of `extract`.
    """
    _check_lengths(body, tokens, name)

    def run(batch: Batch, cache: Cache | None) -> dict[str, Vectors]:
        states = forward(body, batch, cache).last_hidden_state
        vectors = states.reshape(-1, states.shape[-1])[torch.from_numpy(batch.last).to(states.device)]
        return {OUTPUT: vectors[None].float().cpu().numpy()}

    found = np.empty((1, len(tokens), body.get_input_embeddings().embedding_dim), np.float32)
    _in_passes(
        run,
        tokens,
        {OUTPUT: found},
        body=body,
        layout=layout,
        batch_tokens=batch_tokens,
        fixed=fixed,
        name=name,
        wanted=wanted,
    )
    return found[0]


Run = Callable[[Batch, Cache | None], dict[str, Vectors]]
"""Runs a pass and returns the vectors of its prompts for each site, (n_layers, n_prompts, d_model)."""


def _in_passes(
    run: Run,
    tokens: Sequence[list[int]],
    into: Mapping[str, Destination],
    *,
    body: "PreTrainedModel",
    layout: Layout | None,
    batch_tokens: int,
    fixed: bool,
    name: str,
    wanted: Callable[[], bool],
) -> Work:
    """Put what ``run`` returns for all prompts into the destinations, pass by pass; see `extract`."""
    work = Work(batch_tokens)
    with (
        torch.inference_mode(),
        tqdm(total=len(tokens), unit="prompt", desc="extracting", mininterval=5, delay=5) as bar,
    ):
        for part, prompts in parts(layout or layout_of(body), body, tokens):
            prefix, rest = part.split([tokens[index] for index in prompts])
            try:
                cache = _prefix_cache(run, prefix, work)
            except torch.OutOfMemoryError:
                raise _too_little_memory(name) from None
            while len(prompts):
                done: list[NDArray[np.int64]] = []
                for batch in part.passes(rest, offset=len(prefix), capacity=work.batch_tokens):
                    if not wanted():
                        raise NotWanted
                    try:
                        vectors = run(batch, cache)
                    except torch.OutOfMemoryError:
                        work.batch_tokens = _fewer(batch, work.batch_tokens, fixed, name)
                        break
                    _put(vectors, prompts[batch.prompts], into, name)
                    work.add(batch)
                    done.append(batch.prompts)
                    bar.update(len(batch.prompts))
                left = np.delete(np.arange(len(prompts)), np.concatenate(done) if done else [])
                prompts, rest = prompts[left], [rest[index] for index in left]
    return work


def _put(
    vectors: Mapping[str, Vectors], prompts: NDArray[np.int64], into: Mapping[str, Destination], name: str
) -> None:
    """Put the vectors of some prompts where they belong."""
    order = np.argsort(prompts)
    for site, values in vectors.items():
        _check_finite(values, site, name)
        into[site][:, prompts[order]] = values[:, order]


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


def _check_lengths(body: "PreTrainedModel", tokens: Sequence[list[int]], name: str) -> None:
    longest, allowed = max(map(len, tokens)), most_tokens(body.config.get_text_config())
    if allowed is not None and longest > allowed:
        raise UserError(
            f"a prompt has {longest} tokens, but {name} takes at most {allowed}; lower the dataset's `max_words`, or "
            "set `prompts.too_long: drop`."
        )


def _check_finite(values: Vectors, site: str, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
    if len(bad):
        raise UserError(f"{name}: the activations at {site} of layer {bad[0]} are not all finite numbers.")
