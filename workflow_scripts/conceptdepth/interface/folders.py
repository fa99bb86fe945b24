"""The folder that ``conceptdepth export`` writes for each cell, and its readers, which bear what strangers put in one.

Layout, version 1::

    card.json             what the probes are: `SHAPE`; ``seal`` is the SHA-256 of all else in it
    README.md             the same for a person, a model card of the Hugging Face hub
    probes.safetensors    float64, by ``<site>/<position>/<probe>/<target>/seed_<seed>``: ``.../directions``
                          (n_layers, d_model) and ``.../intercepts`` (n_layers,), of vectors as the model has them
    steering/             directions for steering tools (`conceptdepth.interface.steering`), if there are any

Only ``card.json`` and ``probes.safetensors`` are ever read, and neither can hold code.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.ground.errors import UserError, explained
from conceptdepth.ground.files import file_sha256
from conceptdepth.ground.shapes import json_of_shape
from conceptdepth.provenance.record import sealed

FORMAT = "conceptdepth-probes"
FORMAT_VERSION = 1

CARD, PROBES = "card.json", "probes.safetensors"

_BOUNDS = [(int, float, type(None))]

SHAPE = {
    "format": str,
    "format_version": int,
    "cell": {"model": str, "quantization": str, "dataset": str, "perturbation": str},
    "model": {
        "weights": str,
        "fixed_batch_tokens": (int, type(None)),
        "files": {str: str},
        "n_layers": int,
        "d_model": int,
    },
    "dataset": {"classes": [str]},
    "rendering": {"template": {str: str}, "perturbation": dict, "chat": dict},
    "curves": [
        {
            "site": str,
            "position": str,
            "probe": str,
            "target": str,
            "seeds": [int],
            "peak_layer": int,
            "accuracy": [(int, float)],
            "low": _BOUNDS,
            "high": _BOUNDS,
        }
    ],
    "files": {str: str},
    "origin": {"record": str},
    "seal": str,
}
"""What readers of a card rely on."""


def read_card(folder: str | Path) -> dict[str, Any]:
    """Read what an exported folder says of itself. Raises `UserError` if it is none, or not as it was exported."""
    path = Path(folder) / CARD
    card = json_of_shape(path, SHAPE)
    if card is None or (card["format"], card["format_version"]) != (FORMAT, FORMAT_VERSION):
        raise UserError(f"{folder} is no folder of exported probes of format version {FORMAT_VERSION}.")
    fit = card == sealed(card) and len(card["dataset"]["classes"]) == 2 and PROBES in card["files"]
    for curve in card["curves"]:
        lengths = {len(curve[name]) for name in ("accuracy", "low", "high")}
        fit = fit and len(lengths) == 1 and 0 <= curve["peak_layer"] < min(lengths) and bool(curve["seeds"])
    if not fit:
        raise _damaged(path)
    return card


def read_weights(
    folder: str | Path, card: Mapping[str, Any], splits: Sequence[str], n_layers: int, layer: int
) -> list[tuple[NDArray[np.float64], float]]:
    """Return direction and intercept of a layer for each split. Raises `UserError` if the file is not as exported."""
    from safetensors import safe_open

    path = Path(folder) / PROBES
    if not path.is_file() or file_sha256(path) != card["files"][PROBES]:
        raise _damaged(path)
    shape = [n_layers, card["model"]["d_model"]]
    found = []
    with explained(str(_damaged(path)).rstrip(".")), safe_open(path, framework="numpy") as file:
        for split in splits:
            slices = [file.get_slice(f"{split}/{name}") for name in ("directions", "intercepts")]
            if [each.get_shape() for each in slices] != [shape, shape[:1]] or {each.get_dtype() for each in slices} != {
                "F64"
            }:
                raise _damaged(path)
            direction, intercept = slices[0][layer : layer + 1][0], float(slices[1][layer : layer + 1][0])
            if not (np.isfinite(direction).all() and np.isfinite(intercept)):
                raise _damaged(path)
            found.append((direction, intercept))
    return found


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged, or not what was exported; export it again, or ask who gave it to you.")
