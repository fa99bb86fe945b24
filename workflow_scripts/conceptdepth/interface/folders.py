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

from conceptdepth.ground.errors import UserError, explained, one_of
from conceptdepth.ground.files import file_sha256
from conceptdepth.ground.names import CONCEPT, PARTIAL_OUT
from conceptdepth.ground.shapes import json_of_shape
from conceptdepth.interface.sound import unsound
from conceptdepth.provenance.record import sealed

FORMAT = "conceptdepth-probes"
FORMAT_VERSION = 1

CARD, PROBES = "card.json", "probes.safetensors"

MOST_NAMED = 8
"""Folders of a bank that an error names."""

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
            "accuracy_by_seed": {str: [(int, float)]},
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
    """Read what an exported folder says of itself.

    Raises `UserError` if it is none, not as it was exported, or says what no export would (`unsound`).
    """
    path = Path(folder) / CARD
    card = json_of_shape(path, SHAPE)
    if card is None or (card["format"], card["format_version"]) != (FORMAT, FORMAT_VERSION):
        raise _no_card(Path(folder))
    if card != sealed(card) or PROBES not in card["files"]:
        raise _damaged(path)
    if what := unsound(card):
        raise UserError(f"{path}: {what}, which no export writes; ask who gave it to you.")
    return card


def classes_of(card: Mapping[str, Any], target: str) -> tuple[str, str]:
    """Return the names of class 0 and class 1 of a target. Those of a control that draws its labels mean nothing."""
    zero, one = card["dataset"]["classes"] if target in (CONCEPT, PARTIAL_OUT) else ("class 0", "class 1")
    return zero, one


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


def _no_card(folder: Path) -> UserError:
    if not folder.exists():
        return UserError(f"there is no folder {folder}.")
    below = sorted(path.parent for level in range(1, 4) for path in folder.glob(f"{'*/' * level}{CARD}"))
    if below:
        more = " and more" if len(below) > MOST_NAMED else ""
        return UserError(f"{folder} is a bank, not one of its folders; name one: {one_of(below[:MOST_NAMED])}{more}.")
    return UserError(f"{folder} is no folder of exported probes of format version {FORMAT_VERSION}.")


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged, or not what was exported; export it again, or ask who gave it to you.")
