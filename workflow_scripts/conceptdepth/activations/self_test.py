"""The self-test of each load: what would be stored against what the plain model computes, on a few texts.

It is what makes it safe to find blocks and sites by rule: an architecture that nobody has looked at is supported if it
passes, and refused with a number if it does not. It also chooses between layouts of passes
(`conceptdepth.activations.layouts`): trees if they are exact, else whole prompts.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.layouts import EqualLengths, Layout, layouts_of
from conceptdepth.activations.leaving import Vectors
from conceptdepth.activations.plain import PlainPass, looking_ahead, one_by_one, relative
from conceptdepth.activations.reading import Places
from conceptdepth.activations.spots import spot
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING, LAST
from conceptdepth.models.formats import LAYERS
from conceptdepth.models.limits import long_factors
from conceptdepth.models.places import why_absent
from conceptdepth.models.sites import not_supported

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

TOLERANCES = {"float32": 1e-4, "16-bit": 0.1, "int8": 0.3}
"""Largest difference that is rounding, relative to the length of the vector.

A float32 sum in another order differs by 1e-6, more in deep models; docs/models.md has what was measured. Passes of
another shape round otherwise in 16 bits, and LLM.int8() chooses outlier features over all tokens of a pass. A router
that stands on the edge may then choose another expert for a token, so that of less than 32 bits the median of the
prompts counts, which no fault of a layout leaves as it is.
"""


MEAN = "mean"
"""A position of the self-test alone, for cells that read others than the last token: a mean that no token may be wrong
in. The first one is left out, whose vector is so long in some models that the others would not count."""

AT = {
    LAST: lambda length: np.array([length - 1]),
    MEAN: lambda length: np.arange(min(1, length - 1), length),
}
"""Position -> the tokens of a prompt of some length that are read there."""


@dataclass(frozen=True)
class SelfTest:
    """A self-test that a model has passed."""

    layout: Layout
    """How prompts share passes."""
    tolerance: float
    """Largest difference allowed."""
    differences: Mapping[str, NDArray[np.float64]]
    """By site, and for `EMBEDDING`: the largest relative difference of each layer, shape (n_layers,)."""
    absent: Mapping[str, str]
    """By site, of those that were asked for and ``mlp_input``: why the model does not have it, for a person."""

    def facts(self, sites: Sequence[str]) -> dict[str, Any]:
        """Return what an activation file says of it."""
        layers = {site: [float(f"{value:.1e}") for value in self.differences[site]] for site in sites}
        return {"layout": self.layout.name, "tolerance": self.tolerance, "largest_difference": layers}

    def joined(self, other: "SelfTest") -> "SelfTest":
        """Return both as one: with whole prompts if either needs them."""
        layout = self.layout if self.layout == other.layout else EqualLengths()
        largest = {site: np.maximum(found, other.differences[site]) for site, found in self.differences.items()}
        return SelfTest(layout, self.tolerance, largest, self.absent)


def self_test(
    causal: "PreTrainedModel",
    body: "PreTrainedModel",
    tokens: Sequence[list[int]],
    *,
    quantization: str,
    batch_tokens: int,
    layouts: Sequence[Layout] | None = None,
    more: Sequence[str] = (),
    positions: Sequence[str] = (LAST,),
    name: str,
) -> SelfTest:
    """Extract prompts as a cell does, and compare with one prompt at a time through the whole plain model.

    ``body`` is ``causal`` without its head, ``quantization`` its weight format, ``tokens`` are prompts, of which some
    should share a beginning, ``layouts`` are tried in turn (None: those that the architecture allows), ``more`` are
    sites to test beside ``residual`` and ``mlp_input``, where the model has them, ``positions`` the last token and
    perhaps `MEAN`. Raises `UserError` if no layout of passes gives the vectors of the plain model.
    """
    absent = why_absent(body, ["mlp_input", *more], different(tokens), name)
    sites = [EMBEDDING, "residual", *(site for site in ("mlp_input", *more) if site not in absent)]
    tolerance = tolerance_of(body)
    read = {position: [AT[position](len(prompt)) for prompt in tokens] for position in positions}
    alone = one_by_one(causal, body, tokens, sites, tolerance, name, read.get(MEAN))
    expected = {
        site: {position: np.stack([one.at(site, position) for one in alone], axis=1) for position in positions}
        for site in sites
    }
    for layout in layouts or layouts_of(body):
        differences = _differences(body, tokens, expected, read, layout, batch_tokens, name)
        if differences is None:
            continue
        largest = {site: found.max(axis=1) for site, found in differences.items()}
        counted = {site: _counted(found, tolerance, axis=1) for site, found in differences.items()}
        worst = max(counted, key=lambda site: counted[site].max())
        most, layer = counted[worst].max(), int(counted[worst].argmax())
        if most <= tolerance:
            if isinstance(layout, EqualLengths):  # Trees show that what comes after a token does not count.
                _check_causal(alone, body, tolerance, name)
            log.info("self-test of %s passed: %s, differences up to %.1g", name, layout.name, most)
            return SelfTest(layout, tolerance, largest, absent)
        log.info("%s, laid out as %s, fails its self-test by %.2g", name, layout.name, most)
    raise UserError(
        f"models.{name}: what would be stored is not what the plain model computes: at {worst} of layer {layer} it "
        f"differs by {most:.2g} of the vector's length, where rounding of {quantization} explains {tolerance:g}."
    )


def _counted(differences: NDArray[np.float64], tolerance: float, axis: int) -> NDArray[np.float64]:
    """Return which of differences along an axis is held against the tolerance; see `TOLERANCES`."""
    return (np.max if tolerance == TOLERANCES["float32"] else np.median)(differences, axis=axis)


def _check_causal(alone: Sequence[PlainPass], body: "PreTrainedModel", tolerance: float, name: str) -> None:
    changes = looking_ahead(alone, long_factors(body.config.get_text_config()) or 0)
    if len(changes) and not (_counted(changes, tolerance, axis=0) <= tolerance).all():
        raise not_supported(body, name, "it is not causal: what comes after a token changes its vectors")


def tolerance_of(body: "PreTrainedModel") -> float:
    """Return the largest relative difference that is rounding in a model's arithmetic."""
    layers = {type(module).__name__ for module in body.modules()}
    if LAYERS["int8"] in layers:
        return TOLERANCES["int8"]
    # bitsandbytes computes with 4-bit weights in 16 bits on processors, whatever dtype it is given.
    return TOLERANCES["float32" if body.dtype == torch.float32 and LAYERS["nf4"] not in layers else "16-bit"]


def different(tokens: Sequence[list[int]]) -> list[int]:
    """Return a few ids of different tokens, those of prompts first."""
    return list(dict.fromkeys([*(token for prompt in tokens for token in prompt), 3, 4, 5]))[:4]


def _differences(
    body: "PreTrainedModel",
    tokens: Sequence[list[int]],
    expected: Mapping[str, Mapping[str, Vectors]],
    read: Mapping[str, Sequence[Places]],
    layout: Layout,
    batch_tokens: int,
    name: str,
) -> dict[str, NDArray[np.float64]] | None:
    """Return by site the largest difference of each layer and prompt, at any position, (n_layers, n_prompts).

    None if the model does not take the layout.
    """
    largest = {site: np.zeros(at[LAST].shape[:2]) for site, at in expected.items()}
    # As many as go, and run by run, each on the path that those before it have left.
    for capacity in dict.fromkeys((batch_tokens, 1)):
        found = _extracted(body, tokens, list(expected), read, layout, capacity, name)
        if found is None:
            return None
        for site, at in expected.items():
            for position, vectors in at.items():
                largest[site] = np.maximum(largest[site], relative(found[spot(site, position)], vectors))
    return largest


def _extracted(
    body: "PreTrainedModel",
    tokens: Sequence[list[int]],
    sites: Sequence[str],
    read: Mapping[str, Sequence[Places]],
    layout: Layout,
    batch_tokens: int,
    name: str,
) -> dict[str, Vectors] | None:
    """Return the vectors by spot as a cell would store them, None if the model does not take this layout."""
    n_layers, d_model = shape(body, name)
    into = {
        spot(site, position): np.full((1 if site == EMBEDDING else n_layers, len(tokens), d_model), np.nan, np.float32)
        for site, position in product(sites, read)
    }
    try:
        extract(body, tokens, into=into, positions=read, batch_tokens=batch_tokens, layout=layout, name=name)
    except (UserError, TypeError, ValueError, AttributeError, LookupError, RuntimeError) as error:
        # How a model takes a mask that it cannot serve is its own affair; plain passes it must take.
        if isinstance(layout, EqualLengths):
            raise
        log.info("%s does not take %s (%s: %s)", name, layout.name, type(error).__name__, error)
        return None
    return into
