"""Hooks that hand on what is read of the prompts at the sites of every layer, and nothing else."""

from collections.abc import Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

import torch

from conceptdepth.activations.attention import Kept
from conceptdepth.activations.forward import Finished, forward
from conceptdepth.activations.leaving import Leaving
from conceptdepth.activations.reading import Places, Reading
from conceptdepth.activations.spots import by_site
from conceptdepth.activations.trees import Pass
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING, LAST
from conceptdepth.models.hooks import Hooks, Keep
from conceptdepth.models.places import places_of
from conceptdepth.models.sites import blocks, listen, not_supported

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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

    def __init__(
        self,
        body: "PreTrainedModel",
        spots: Sequence[str],
        positions: Mapping[str, Sequence[Places]],
        leaving: Leaving,
        name: str,
    ) -> None:
        """Prepare hooks at spots (`conceptdepth.activations.spots`).

        ``positions`` has by position, of each prompt of the cell, the numbers of the tokens that are read.
        """
        self._body, self._name = body, name
        self._blocks = blocks(body, name)
        self._sites = by_site(spots)
        self._positions = positions
        self._leaving = leaving
        self._hooks = Hooks()
        self._batch: Pass
        self._reading: Reading
        self._earlier: dict[tuple[str, int], torch.Tensor] = {}
        """By site and layer: the vectors of earlier passes on the path to this one, where one may be read."""
        self._found: dict[str, list[int]] = {}
        """Layers that have run in this pass."""

    def __enter__(self) -> "Collector":
        inside = [site for site in self._sites if site != EMBEDDING]
        for layer, (block, places) in enumerate(zip(self._blocks, places_of(self._body, inside, self._name))):
            for site in inside:
                ends = layer == len(self._blocks) - 1
                listen(self._hooks, block, places[site], self._keeper(site, layer, ends=ends))
        if EMBEDDING in self._sites:
            self._hooks.before(self._blocks[0], self._keeper(EMBEDDING, 0, ends=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.__exit__()

    def _keeper(self, site: str, layer: int, *, ends: bool) -> Keep:
        def keep(states: torch.Tensor) -> None:
            rows, width = self._batch.tokens.shape
            vectors = one_a_token(states, rows, width, self._body, self._name)
            self._found[site].append(layer)
            read = self._read(site, layer, vectors)
            for position, name in self._sites[site].items():
                self._leaving.take(name, layer, read[position], self._batch.prompts)
            if ends and self._all_found():
                raise Finished

        return keep

    def _read(self, site: str, layer: int, vectors: torch.Tensor) -> dict[str, torch.Tensor]:
        earlier = self._earlier.pop((site, layer), None)
        if self._batch.tree is not None and len(self._batch.tree.keep) and self._positions.keys() != {LAST}:
            self._earlier[site, layer] = self._reading.for_the_next(vectors, earlier)
        return self._reading.read(vectors, earlier)

    def _all_found(self) -> bool:
        """Tell whether the last block has shown all its sites, in whatever order it comes to them."""
        return all(layers[-1:] == [len(self._blocks) - 1] for site, layers in self._found.items() if site != EMBEDDING)

    def run(self, batch: Pass, kept: Kept | None) -> None:
        """Hand on what is read of a pass, at each site of each layer."""
        self._batch, self._reading = batch, Reading(batch, self._positions)
        if not batch.kept:
            self._earlier.clear()
        self._found = {site: [] for site in self._sites}
        forward(self._body, batch, kept)
        check_every_block(self._found, self._blocks, self._name)
