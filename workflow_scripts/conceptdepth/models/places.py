"""Where the sites of a model are read, in each of its blocks, and why one is not there."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from conceptdepth.models.devices import input_device
from conceptdepth.models.hooks import Hooks, Keep
from conceptdepth.models.sites import (
    IN_STREAM,
    Place,
    blocks,
    is_parallel,
    mlp_of,
    no_site,
    why_no_mlp,
    why_no_mlp_input,
)
from conceptdepth.models.stream import Seen, found_in

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

TOKENS = 8
"""Tokens of the pass in which places are looked for."""

MOST_WORDS = 3
"""Most places of one site that are named."""

_found: "WeakKeyDictionary[nn.Module, list[dict[str, Place]]]" = WeakKeyDictionary()
"""What was found: by model, for as long as there is one."""
_finding = threading.Lock()


def places_of(decoder: "PreTrainedModel", sites: Sequence[str], name: str) -> list[dict[str, Place]]:
    """Return for each block where sites are read that a model has (`why_absent`): of `sites.SITES`, by site.

    Those of `IN_STREAM` take a short pass through the model, once. ``name`` is the model's in the registry.
    """
    listed = blocks(decoder, name)
    inside = _in_stream(decoder, name) if set(sites) & set(IN_STREAM) else [dict[str, Place]()] * len(listed)
    return [
        {site: found[site] if site in IN_STREAM else _by_rule(block, site) for site in sites}
        for block, found in zip(listed, inside, strict=True)
    ]


def _by_rule(block: "nn.Module", site: str) -> Place:
    return Place("", is_input=False) if site == "residual" else Place(str(mlp_of(block)), is_input=True)


NO_STREAM = (
    "its block {} normalises or weighs the residual stream itself, or adds to it what none of its modules gives out"
)
REASONS = {
    "attention_output": "what its block {} adds to the stream before its MLP is not found among its modules' outputs",
    "residual_mid": "no module of its block {} gets or gives the stream between attention and MLP",
}
"""Why a block has no sum, and why it does not have a site of one; the block's number is to be filled in."""


def why_absent(decoder: "PreTrainedModel", sites: Sequence[str], tokens: Sequence[int], name: str) -> dict[str, str]:
    """Return by site, of those that a model does not have, why: each in a sentence for a person.

    ``tokens`` are a few ids of different words, ``name`` is the model's in the registry.
    """
    why: dict[str, str | None] = {}
    for site in sites:
        if site == "mlp_input":
            why[site] = why_no_mlp_input(decoder, tokens, name)
        elif site in IN_STREAM:
            why[site] = why_no_mlp(decoder, site, name) or _why_not_found(decoder, site, tokens, name)
    return {site: said for site, said in why.items() if said}


def _why_not_found(decoder: "PreTrainedModel", site: str, tokens: Sequence[int], name: str) -> str | None:
    found = _in_stream(decoder, name)
    lacking = [number for number, places in enumerate(found) if site not in places]
    if not lacking:
        return None
    if not found[lacking[0]]:
        return no_site(name, site, NO_STREAM.format(lacking[0]))
    if site == "residual_mid" and is_parallel(decoder, tokens, name):
        return no_site(name, site, "its blocks run attention and MLP side by side")
    return no_site(name, site, REASONS[site].format(lacking[0]))


def _in_stream(decoder: "PreTrainedModel", name: str) -> list[dict[str, Place]]:
    """Return for each block the places of the sites in its stream that it has."""
    with _finding:
        if decoder not in _found:
            _found[decoder] = _look(decoder, name)
        return _found[decoder]


def _look(decoder: "PreTrainedModel", name: str) -> list[dict[str, Place]]:
    width = decoder.config.get_text_config().hidden_size
    watched = [_Watched(block, width) for block in blocks(decoder, name)]
    words = decoder.get_input_embeddings().num_embeddings
    # From all over the vocabulary: the first ids may be those of bytes that no training has touched.
    ids = [words * number // (TOKENS + 1) for number in range(1, TOKENS + 1)]
    with Hooks() as hooks, torch.inference_mode(), suppress(_Nothing):
        for one in watched:
            one.listen(hooks)
        decoder(input_ids=torch.tensor([ids], device=input_device(decoder)), use_cache=False)
    return [one.found for one in watched]


class _Nothing(Exception):
    """Ends a pass of which a block has shown that the model has none of the sites."""


class _Watched:
    """What the modules of a block get and give in one pass, until the block is through."""

    def __init__(self, block: "nn.Module", width: int) -> None:
        self._block, self._width = block, width
        self._seen: list[Seen] = []
        self.found: dict[str, Place] = {}

    def listen(self, hooks: Hooks) -> None:
        for path, module in self._block.named_modules():
            hooks.before(module, self._keeper(path, is_input=True))
            hooks.after(module, self._keeper(path, is_input=False))

    def _keeper(self, path: str, *, is_input: bool) -> Keep:
        def keep(states: torch.Tensor) -> None:
            if isinstance(states, torch.Tensor) and states.shape[-1:] == (self._width,) and states.is_floating_point():
                # A copy, since what comes later may write into it; one row a token, however a module lays them out.
                self._seen.append(Seen(path, is_input, states.detach().reshape(-1, self._width).clone().cpu()))
            if not path and not is_input:
                self.found, self._seen = self._places(), []
                if not self.found:
                    raise _Nothing

        return keep

    def _places(self) -> dict[str, Place]:
        mlp, ends = mlp_of(self._block), [one.states for one in self._seen if not one.module]
        if mlp is None or len(ends) != 2:
            return {}
        calls = Counter((one.module, one.is_input) for one in self._seen)
        start, end = ends
        inner = [
            one
            for one in self._seen
            # What runs twice in a block is not one place.
            if one.module and calls[one.module, one.is_input] == 1 and len(one.states) == len(start)
        ]
        factors = [value for value in vars(self._block).values() if isinstance(value, float) and value != 1]
        return found_in(inner, start, end, mlp, factors)


def lie_deep(decoder: "PreTrainedModel", sites: Sequence[str], name: str) -> bool:
    """Tell whether a site is read inside a part of a block, and not where a part of it begins or ends."""
    found = [at for places in places_of(decoder, sites, name) for at in places.values()]
    return any("." in module for at in found for module in (at.module, *at.beside))


def words_of(places: Sequence[Mapping[str, Place]], site: str, path: str = "") -> str:
    """Say where a site is read in blocks of that path: for each way in which they do, and of many for the first few."""
    differing = list(dict.fromkeys(block[site].words(path) for block in places))
    return ", or ".join(differing[:MOST_WORDS]) + (", and so on" if len(differing) > MOST_WORDS else "")
