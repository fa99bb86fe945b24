"""Activations of every layer at the positions that are read, for all prompts of a cell.

Prompts go through the model without its head in flat passes (`conceptdepth.activations.trees`). Hooks at the sites
hand on what is read of the prompts (`conceptdepth.activations.reading`) and nothing else; a pass ends at the last site
of the last layer. Vectors leave for where they belong while the next ones are computed
(`conceptdepth.activations.leaving`), so that memory does not grow with the number of prompts.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from conceptdepth.activations.attention import Kept
from conceptdepth.activations.collector import Collector
from conceptdepth.activations.ends import READ_OFF, Ends
from conceptdepth.activations.forward import forward
from conceptdepth.activations.layouts import Layout, layouts_of, parts
from conceptdepth.activations.leaving import Destination, Leaving, Vectors
from conceptdepth.activations.reading import Places
from conceptdepth.activations.trees import Pass
from conceptdepth.ground.errors import NotWanted, UserError
from conceptdepth.ground.names import LAST
from conceptdepth.models.fused import fused
from conceptdepth.models.limits import most_tokens
from conceptdepth.models.sites import blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

OUTPUT = "the model's output"
"""What errors call the last layer's output after the final norm, which `last_states` reads."""


@dataclass
class Work:
    """What an extraction took."""

    batch_tokens: int
    """Most tokens of a pass: halved each time that memory ran out."""
    tokens_computed: int = 0
    """Tokens that went through the model: fewer than the prompts have, as they share beginnings."""
    passes: int = 0
    """Forward passes."""
    kernels: str = ""
    """What has computed attention, where that was chosen here."""

    def add(self, batch: Pass, kernels: Iterable[str]) -> None:
        """Count a pass."""
        self.tokens_computed += batch.tokens.size
        self.passes += 1
        self.kernels = ", ".join(sorted({*self.kernels.split(", "), *kernels} - {""}))


def shape(body: "PreTrainedModel", name: str) -> tuple[int, int]:
    """Return (n_layers, d_model)."""
    return len(blocks(body, name)), body.config.get_text_config().hidden_size


def extract(
    body: "PreTrainedModel",
    tokens: Sequence[list[int]],
    *,
    into: Mapping[str, Destination],
    positions: Mapping[str, Sequence[Places]] | None = None,
    batch_tokens: int,
    fixed: bool = False,
    layout: Layout | None = None,
    name: str,
    wanted: Callable[[], bool] = lambda: True,
) -> Work:
    """Put the activations of each prompt into a destination for each spot: a site, or `EMBEDDING`, at a position.

    ``tokens`` are token ids as `tokenize` gives them, ``positions`` by name the numbers of the tokens of each prompt
    that are read there (None: the last one, of all), ``batch_tokens`` the most tokens of one forward pass,
    ``fixed`` tells that results depend on it, so that it must not be halved when memory runs out, ``layout`` how
    prompts share passes (None: as the architecture allows), ``name`` is the model's name for errors; ``wanted`` is
    asked before each pass whether to go on. Raises `NotWanted` if not, and `UserError` for a prompt that is too long
    for the model, blocks that do not hand on one vector a token, values that are not finite, and too little memory for
    one prompt.
    """
    passes = _Passes(body, tokens, batch_tokens, fixed, layout, name, wanted)
    if positions is None:
        positions = {LAST: [np.array([len(prompt) - 1]) for prompt in tokens]}
    with Leaving(into, name) as leaving, Collector(body, list(into), positions, leaving, name) as collector:
        return passes.through(collector.run, leaving)


def last_states(
    body: "PreTrainedModel",
    tokens: Sequence[list[int]],
    *,
    batch_tokens: int,
    fixed: bool = False,
    layout: Layout | None = None,
    name: str,
    wanted: Callable[[], bool] = lambda: True,
    ends: Ends | None = None,
) -> Vectors:
    """Return what the head would get at each prompt's last token, shape (n_prompts, d_model).

    That is the last layer's output after the final norm. ``ends`` reads numbers off all blocks in the same passes.
    Other arguments and errors are those of `extract`.
    """
    passes = _Passes(body, tokens, batch_tokens, fixed, layout, name, wanted)
    found = np.empty((1, len(tokens), body.get_input_embeddings().embedding_dim), np.float32)
    into: dict[str, Destination] = {OUTPUT: found} | ({READ_OFF: ends.into} if ends else {})
    with Leaving(into, name) as leaving, ends or nullcontext():

        def run(batch: Pass, kept: Kept | None) -> None:
            if ends:
                ends.begin(batch)
            states = forward(body, batch, kept).last_hidden_state
            last = torch.from_numpy(batch.last).to(states.device)
            leaving.take(OUTPUT, 0, states.reshape(-1, states.shape[-1])[last], batch.prompts)
            if ends:
                ends.leave(leaving)

        passes.through(run, leaving)
    return found[0]


Run = Callable[[Pass, Kept | None], None]
"""Runs a pass, after those whose keys and values are kept, and lets the vectors of its prompts leave."""


@dataclass
class _Passes:
    """All passes of a cell; see `extract`."""

    body: "PreTrainedModel"
    tokens: Sequence[list[int]]
    batch_tokens: int
    fixed: bool
    layout: Layout | None
    name: str
    wanted: Callable[[], bool]

    def through(self, run: Run, leaving: Leaving) -> Work:
        """Run them, smaller ones once memory runs out."""
        _check_lengths(self.body, self.tokens, self.name)
        work, bar = Work(self.batch_tokens), tqdm(total=len(self.tokens), unit="prompt", mininterval=5, delay=5)
        with torch.inference_mode(), bar:
            for part, prompts in parts(self.layout or layouts_of(self.body)[0], self.body, self.tokens):
                with fused(self.body, self.name) if part.compiled else nullcontext():
                    while len(prompts):
                        prompts = self._while_memory_lasts(run, part, prompts, work, bar)
                        leaving.wait()
        return work

    def _while_memory_lasts(
        self, run: Run, part: Layout, prompts: NDArray[np.int64], work: Work, bar: "tqdm[Any]"
    ) -> NDArray[np.int64]:
        """Return the prompts that are left."""
        kept = Kept() if part.keeping else None
        left = np.ones(len(prompts), dtype=bool)
        for batch in part.passes([self.tokens[index] for index in prompts], work.batch_tokens):
            if not self.wanted():
                raise NotWanted
            try:
                run(replace(batch, prompts=prompts[batch.prompts]), kept)
            except torch.OutOfMemoryError:
                work.batch_tokens = _fewer(batch, work.batch_tokens, self.fixed, self.name)
                break
            left[batch.prompts] = False
            work.add(batch, () if kept is None else kept.kernels)
            bar.update(len(batch.prompts))
        return prompts[left]


def _fewer(batch: Pass, batch_tokens: int, fixed: bool, name: str) -> int:
    """Return the tokens of a pass to go on with after memory ran out."""
    fewer = min(batch_tokens, batch.tokens.size) // 2
    if fixed:
        raise UserError(
            f"{name}: memory ran out, and the results of this weight format depend on the tokens of a pass; lower "
            "`activations.fixed_batch_tokens`."
        )
    if not fewer:
        raise UserError(f"{name}: memory ran out with a single prompt; lower `max_words`, or use a larger machine.")
    log.warning("memory ran out; going on with %d tokens a pass", fewer)
    return fewer


def _check_lengths(body: "PreTrainedModel", tokens: Sequence[list[int]], name: str) -> None:
    longest, allowed = max(map(len, tokens)), most_tokens(body.config.get_text_config())
    if allowed is not None and longest > allowed:
        raise UserError(
            f"a prompt has {longest} tokens, but {name} takes at most {allowed}; lower the dataset's `max_words`, or "
            "set `prompts.too_long: drop`."
        )
