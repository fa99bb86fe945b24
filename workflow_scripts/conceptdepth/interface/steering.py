"""Directions in the forms that steering tools take: a plain ``{layer: vector}`` file, and lm-evaluation-harness's.

A direction may be added where it was read, and only the residual stream is a place to add to: what is added to
``mlp_input`` or to a module's output is normalised or scaled before it gets anywhere. So there is a file for each
linear probe of the concept at the sites of `IN_STREAM`, and none if the run read no such site.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.activations.store import open_activations, read_labels, vectors_of
from conceptdepth.ground.errors import UserError

BLOCK_OUTPUT = "residual"
"""The site that is the output of a whole block, which is what hooks of other tools change."""

IN_STREAM = {
    BLOCK_OUTPUT: "the output of block <i>",
    "residual_mid": "the residual stream of block <i> between attention and MLP",
}
"""Sites of which a direction can be added to vectors, and where that is."""

DEVIATIONS = 2.0
"""Length of the step in the file for lm-evaluation-harness, in `Steering.deviations`."""


@dataclass(frozen=True)
class Steering:
    """Unit directions towards class 1, one for each layer, of one site, position and probe."""

    directions: NDArray[np.float64]
    """The mean over splits of the unit weights of the probe, at length 1 again, shape (n_layers, d_model)."""
    deviations: NDArray[np.float64]
    """Standard deviation of held-out vectors along the direction of their own split, mean over splits, (n_layers,)."""
    gaps: NDArray[np.float64]
    """Mean of class 1 less mean of class 0 of the same, mean over splits, shape (n_layers,). No vector counts along a
    direction that was trained on it: along such a one, classes are apart where there is nothing to tell."""


@dataclass(frozen=True)
class TrainedSplit:
    """The probes of one split, one for each layer."""

    coefficients: NDArray[np.float64]
    """Shape (n_layers, d_model + 1), the intercept last."""
    test: NDArray[np.int64]
    """Statements that were held out, shape (n_test,)."""


def steering(splits: Sequence[TrainedSplit], vectors: Any, labels: NDArray[np.int8]) -> Steering:
    """Return directions and their scale. ``vectors`` (n_layers, n_statements, d_model) is read layer by layer."""
    units = [_unit(split.coefficients[:, :-1]) for split in splits]
    scales = np.empty((len(units[0]), len(splits), 2))
    for layer, scale in enumerate(scales):
        values = np.asarray(vectors[layer], np.float64)
        for number, (unit, split) in enumerate(zip(units, splits)):
            along, classes = values[split.test] @ unit[layer], labels[split.test]
            scale[number] = along.std(), along[classes == 1].mean() - along[classes == 0].mean()
    deviations, gaps = scales.mean(axis=1).T
    return Steering(_unit(np.mean(units, axis=0)), deviations, gaps)


def read_steering(
    activations: Path, places: Mapping[tuple[str, str, str], Sequence[TrainedSplit]]
) -> dict[tuple[str, str, str], Steering]:
    """Return what to steer along by site, position and probe, given the splits of each."""
    with open_activations(activations) as file:
        vectors, labels = vectors_of(file), read_labels(file).labels
        return {place: steering(splits, vectors[place[:2]], labels) for place, splits in places.items()}


def hook_points(folder: Path, name: str, *, trust_remote_code: bool) -> list[str]:
    """Return the path of each block of a model below its ``base_model``, as lm-evaluation-harness names hooks."""
    from conceptdepth.models.loading import empty_model
    from conceptdepth.models.sites import blocks, decoder_of

    causal = empty_model(folder, trust_remote_code=trust_remote_code)
    paths = {module: path for path, module in causal.base_model.named_modules()}
    listed = blocks(decoder_of(causal, name), name)
    if any(block not in paths for block in listed):
        raise UserError(f"models.{name}: its blocks are not below its base model, so that no hook can be named.")
    return [paths[block] for block in listed]


def write_plain(path: Path, found: Steering, facts: Mapping[str, str]) -> None:
    """Write ``{layer.<i>: vector}``, float32, as safetensors with facts as its metadata."""
    from safetensors.numpy import save

    vectors = {f"layer.{layer}": own for layer, own in enumerate(found.directions.astype(np.float32))}
    path.write_bytes(save(vectors, metadata=dict(facts)))


def write_lm_eval(path: Path, found: Steering, layer: int, hook: str) -> None:
    """Write one layer for the model ``steered`` of lm-evaluation-harness 0.4.13, which adds it at every token.

    Its layout is in the docstring of that class: by hook point ``steering_vector`` (d_model,),
    ``steering_coefficient``, ``action``, ``bias`` and ``head_index``. The file is a pickle, which that tool reads;
    nothing here ever does.
    """
    import torch

    step = {
        "steering_vector": torch.from_numpy(found.directions[layer].astype(np.float32)),
        "steering_coefficient": float(DEVIATIONS * found.deviations[layer]),
        "action": "add",
        "bias": None,
        "head_index": None,
    }
    torch.save({hook: step}, path)


def _unit(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows at length 1; a direction of nothing stays nothing."""
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return np.divide(directions, lengths, out=np.zeros_like(directions), where=lengths > 0)
