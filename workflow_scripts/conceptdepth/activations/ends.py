"""What is read off the output of every block at the last token of each prompt, beside a whole pass."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from conceptdepth.activations.collector import check_every_block, one_a_token
from conceptdepth.activations.leaving import Destination, Leaving
from conceptdepth.activations.trees import Pass
from conceptdepth.models.hooks import Hooks
from conceptdepth.models.sites import blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Read = Callable[[torch.Tensor], torch.Tensor]
"""Makes a few numbers, (n_states, n_numbers), of outputs of blocks, (n_states, d_model)."""

READ_OFF = "what is read off its blocks"
"""What errors call these numbers."""


class Ends:
    """Hooks behind all blocks for as long as the context lasts, and for the thread that made them.

    The vectors of one pass are in memory at a time, and the numbers alone leave.
    """

    def __init__(self, body: "PreTrainedModel", read: Read, into: Destination, name: str) -> None:
        """Prepare hooks; ``into`` has the shape (n_layers, n_prompts, n_numbers), ``name`` is the model's."""
        self._body, self._read, self._name = body, read, name
        self.into = into
        self._blocks, self._hooks = blocks(body, name), Hooks()
        self._batch: Pass
        self._found: list[torch.Tensor] = []

    def __enter__(self) -> "Ends":
        for block in self._blocks:
            self._hooks.after(block, self._keep)
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)

    def begin(self, batch: Pass) -> None:
        """Get ready for a pass."""
        self._batch, self._found = batch, []

    def _keep(self, states: torch.Tensor) -> None:
        rows, width = self._batch.tokens.shape
        vectors = one_a_token(states, rows, width, self._body, self._name)
        self._found.append(vectors[torch.from_numpy(self._batch.last).to(vectors.device)])

    def leave(self, leaving: Leaving) -> None:
        """Let the numbers of the pass that has run leave."""
        check_every_block({READ_OFF: self._found}, self._blocks, self._name)
        device = self._found[-1].device
        read = self._read(torch.cat([vectors.to(device) for vectors in self._found]))
        self._found = []
        for layer, numbers in enumerate(read.chunk(len(self._blocks))):
            leaving.take(READ_OFF, layer, numbers, self._batch.prompts)
