"""The activation file: one HDF5 file per cell of the grid.

Layout, version 2::

    /activations/<site>   float32 (n_layers, n_statements, d_model), contiguous: a layer is one read
    /embedding            float32 (1, n_statements, d_model), what the first block gets at the last token: no
                          block has read it yet, so that a probe of it is a control
    /id                   UTF-8 strings (n_statements,), in prompt-file order, as all that follows
    /label                int8    (n_statements,), 0 or 1
    /group                UTF-8 strings (n_statements,)
    /n_tokens             int32   (n_statements,), tokens of each prompt
    attributes            format = "conceptdepth-activations", format_version = 2, and facts about the
                          extraction (model, quantization, weights: the format that the model really had, sites:
                          where each is read, self_test, library versions, ...)

float32 because HDF5 has no bfloat16 and float16 overflows: Gemma's residual stream passes 30,000.
A file under its final name is complete: it is written under another name, checked and then renamed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import EMBEDDING

FORMAT = "conceptdepth-activations"
FORMAT_VERSION = 2


@dataclass(frozen=True)
class Labels:
    """What an activation file says of its statements, each of shape (n_statements,)."""

    ids: NDArray[np.object_]
    labels: NDArray[np.int8]
    groups: NDArray[np.object_]


@contextmanager
def new_activations(
    path: str | Path,
    *,
    sites: Sequence[str],
    n_layers: int,
    d_model: int,
    prompts: Sequence[Mapping[str, Any]],
    n_tokens: Sequence[int],
) -> Iterator[h5py.File]:
    """Give the file of a cell with the labels of its prompts, to put vectors and attributes into.

    It gets its name when the block has succeeded and every vector is there; raises `ValueError` if one is not.
    """
    text = h5py.string_dtype()
    size = (n_layers, len(prompts), d_model)
    with complete_file(path) as part:
        with h5py.File(part, "w") as file:
            for site in sites:
                file.create_dataset(f"activations/{site}", size, dtype="f4", fillvalue=np.nan)
            file.create_dataset(EMBEDDING, (1, *size[1:]), dtype="f4", fillvalue=np.nan)
            file.create_dataset("id", data=[row["id"] for row in prompts], dtype=text)
            file.create_dataset("label", data=[row["label"] for row in prompts], dtype="i1")
            file.create_dataset("group", data=[row["group"] for row in prompts], dtype=text)
            file.create_dataset("n_tokens", data=n_tokens, dtype="i4")
            file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION})
            yield file
        _check(part)


def open_activations(path: str | Path) -> h5py.File:
    """Open an activation file for reading. Raises `UserError` if it is something else."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path} is not a readable HDF5 file ({error}).") from None
    if file.attrs.get("format") != FORMAT or file.attrs.get("format_version") != FORMAT_VERSION:
        file.close()
        raise UserError(f"{path} is not an activation file of format version {FORMAT_VERSION}.")
    return file


def read_labels(file: h5py.File) -> Labels:
    """Return the ids, labels and groups of the statements."""
    return Labels(ids=file["id"].asstr()[:], labels=file["label"][:], groups=file["group"].asstr()[:])


def destinations(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return where vectors of each site and of the embedding go, by name."""
    return {**file["activations"], EMBEDDING: file[EMBEDDING]}


def _check(path: Path) -> None:
    """Read the file back before it gets its name: a vector that was not written is not a number."""
    with open_activations(path) as file:
        for site, values in destinations(file).items():
            for layer, vectors in enumerate(values):
                if np.isnan(vectors[:, 0]).any():
                    raise ValueError(f"layer {layer} of {site} lacks vectors")
