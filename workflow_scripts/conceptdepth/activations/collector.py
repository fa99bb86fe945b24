"""Hooks that keep the vectors of the prompts' last tokens at the sites of every layer, and nothing else."""

from collections.abc import Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import Cache

from conceptdepth.activations.forward import Finished, forward
from conceptdepth.activations.packing import Batch
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.models.hooks import Hooks, Keep
from conceptdepth.models.sites import blocks, listen, not_supported

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Vectors = NDArray[np.float32]


def one_a_token(states: torch.Tensor, rows: int, width: int, body: "PreTrainedModel", name: str) -> torch.Tensor:
    """Return states of a pass as (rows x width, d_model). Raises `UserError` if there is not one vector a token."""
    d_model = body.config.get_text_config().hidden_size
    # OPT lays its rows end to end before the MLP.
    if tuple(states.shape) not in ((rows, width, d_model), (rows * width, d_model)):
        shape = tuple(states.shape)
        said = f"its blocks hand on {shape} values for {rows} x {width} tokens of width {d_model}"
        raise not_supported(body, name, said)
    return states.reshape(-1, d_model)


def check_every_block(found: Mapping[str, Sequence[Any]], blocks: Sized, name: str) -> None:
    """Raise `UserError` unless every block has run once: some have layers for images, which text passes by."""
    for site, layers in found.items():
        if site != EMBEDDING and len(layers) != len(blocks):
            raise UserError(
                f"models.{name}: the architecture is not supported, because of its {len(blocks)} blocks a text runs "
                f"through {len(layers)}."
            )


class Collector:
    """Hooks at the sites, for as long as the context lasts, and for the thread that made them."""

    def __init__(self, body: "PreTrainedModel", sites: Sequence[str], name: str) -> None:
        self._body, self._name = body, name
        self._blocks = blocks(body, name)
        self._sites = sites
        self._hooks = Hooks()
        self._last_tokens = torch.empty(0, dtype=torch.long)
        self._size = (0, 0)
        self._found: dict[str, list[torch.Tensor]] = {}

    def __enter__(self) -> "Collector":
        inside = [site for site in self._sites if site != EMBEDDING]
        # A block's own output comes after everything inside it.
        last = max(inside, key=lambda site: site == "residual")
        for layer, block in enumerate(self._blocks):
            for site in inside:
                ends = layer == len(self._blocks) - 1 and site == last
                listen(self._hooks, block, site, self._keeper(site, ends=ends))
        if EMBEDDING in self._sites:
            self._hooks.before(self._blocks[0], self._keeper(EMBEDDING, ends=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.__exit__()

    def _keeper(self, site: str, *, ends: bool) -> Keep:
        def keep(states: torch.Tensor) -> None:
            vectors = one_a_token(states, *self._size, self._body, self._name)
            self._found[site].append(vectors[self._last_tokens.to(vectors.device)])
            if ends:
                raise Finished

        return keep

    def run(self, batch: Batch, cache: Cache | None) -> dict[str, Vectors]:
        """Return the vectors of a batch's last tokens for each site, (n_layers, n_prompts, d_model)."""
        self._last_tokens = torch.from_numpy(batch.last)
        self._size = (len(batch.rows), batch.width)
        self._found = {site: [] for site in self._sites}
        forward(self._body, batch, cache)
        check_every_block(self._found, self._blocks, self._name)
        # Only here, since each copy from a GPU waits for it.
        return {site: torch.stack([v.float().cpu() for v in found]).numpy() for site, found in self._found.items()}
