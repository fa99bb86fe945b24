"""Hooks that keep the vectors of the prompts' last tokens at the sites of every layer, and nothing else."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import Cache

from conceptdepth.activations.forward import Finished, forward
from conceptdepth.activations.packing import Batch
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.models.sites import blocks, site_module

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Vectors = NDArray[np.float32]

NO_NAMES: Mapping[str, Any] = {}
"""Named arguments of a call that gives none."""


def site_modules(body: "PreTrainedModel", sites: Sequence[str], name: str) -> dict[str, str]:
    """Return for each site the module of a block that it is read from; "" is the block itself."""
    return {site: site_module(site, body.config.get_text_config(), name) for site in sites}


class Collector:
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

    def __enter__(self) -> "Collector":
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
                raise Finished

        return keep

    def _keep_embedding(self, _module: Any, arguments: Any, named: Mapping[str, Any] = NO_NAMES) -> None:
        # PyTorch registers a hook and then that it takes named arguments: a pass of another thread may come between.
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
