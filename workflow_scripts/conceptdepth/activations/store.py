"""The activation file: one HDF5 file per cell of the grid.

Layout, version 3::

    /activations/<site>/<position>  float32 (n_layers, n_statements, d_model), contiguous: a layer is one read
    /embedding/<position>           float32 (1, n_statements, d_model), what the first block gets there: no block has
                                    read it yet, so that a probe of it is a control
    /places/<position>              int32   (n_statements, 2), the first token of each prompt that is read there and
                                    one past the last; of several, vectors are averaged
    /id                             UTF-8 strings (n_statements,), in prompt-file order, as all that follows
    /label                          int8    (n_statements,), 0 or 1
    /group                          UTF-8 strings (n_statements,)
    /n_tokens                       int32   (n_statements,), tokens of each prompt
    attributes                      format = "conceptdepth-activations", format_version = 3, positions: their names in
                                    the order in which they were asked for, and facts about the extraction (model,
                                    quantization, weights: the format that the model really had, sites: where each is
                                    read, self_test, library versions, ...)

Positions are those of `conceptdepth.models.positions`. Two that read the same tokens of every prompt, as the last one
of the prompt and of the text where nothing follows it, are one dataset with two names (a hard link).

float32 because HDF5 has no bfloat16 and float16 overflows: Gemma's residual stream passes 30,000.
A file under its final name is complete: it is written under another name, checked and then renamed.
"""

import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from conceptdepth.activations.spots import spot
from conceptdepth.ground.disk import check_room
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.hdf5 import (
    FLOAT,
    INTEGER,
    TEXT,
    array,
    attribute,
    check_strings,
    member,
    new_hdf5,
    open_hdf5,
    undamaged,
)
from conceptdepth.ground.names import EMBEDDING, LAST

FORMAT = "conceptdepth-activations"
FORMAT_VERSION = 3


@dataclass(frozen=True)
class Labels:
    """What an activation file says of its statements, each of shape (n_statements,)."""

    ids: NDArray[np.object_]
    labels: NDArray[np.int8]
    groups: NDArray[np.object_]
    n_tokens: NDArray[np.int32]


class Region:
    """A dataset of a file that is being written, into which threads put vectors side by side."""

    def __init__(self, stream: BinaryIO, dataset: h5py.Dataset) -> None:
        self._stream, self._start = stream, dataset.id.get_offset()
        self._size = dataset.shape
        self._there = np.zeros(self._size[:2], dtype=bool)

    def __setitem__(self, where: tuple[int, NDArray[np.int64]], values: NDArray[np.float32]) -> None:
        """Put the vectors of some prompts, whose indices ascend, into a layer."""
        layer, prompts = where
        if values.shape != (len(prompts), self._size[2]):
            raise ValueError(f"vectors of shape {values.shape} for {len(prompts)} prompts of width {self._size[2]}")
        neighbours = np.flatnonzero(np.diff(prompts) != 1) + 1
        for first, after in pairwise((0, *neighbours, len(prompts))):
            row = layer * self._size[1] + int(prompts[first])
            self._write(values[first:after], self._start + 4 * row * self._size[2])
        self._there[layer, prompts] = True

    def _write(self, values: NDArray[np.float32], place: int) -> None:
        left = memoryview(np.ascontiguousarray(values, dtype="<f4").view(np.uint8).reshape(-1))  # type: ignore[arg-type]
        while left:  # A call writes less than 2 GiB.
            written = os.pwrite(self._stream.fileno(), left, place)
            left, place = left[written:], place + written

    def lacking(self) -> NDArray[np.int64]:
        """Return the layers that lack a vector."""
        return np.flatnonzero(~self._there.all(axis=1))


@dataclass(frozen=True)
class NewActivations:
    """An activation file that is being written."""

    attrs: h5py.AttributeManager
    """Facts about the extraction."""
    into: Mapping[str, Region]
    """Where vectors go, by spot (`conceptdepth.activations.spots`): each site, and the embedding, at each position."""


@contextmanager
def new_activations(
    path: str | Path,
    *,
    sites: Sequence[str],
    places: Mapping[str, NDArray[np.int32]] | None = None,
    same: Mapping[str, str] | None = None,
    n_layers: int,
    d_model: int,
    prompts: Sequence[Mapping[str, Any]],
    n_tokens: Sequence[int],
) -> Iterator[NewActivations]:
    """Give the file of a cell with the labels of its prompts, to put vectors and attributes into.

    ``places`` has the positions, and what tokens are read there, shape (n_statements, 2) (None: the last token of each
    prompt); ``same`` by position the one whose vectors it shares (None: each has its own), which alone is given to put
    vectors into. The file gets its name when the block has succeeded and every vector is there; raises `ValueError` if
    one is not, and `UserError` before the block if the disk has no room for the vectors.
    """
    if places is None:
        places = {LAST: np.array([(n - 1, n) for n in n_tokens], dtype=np.int32)}
    first = same or {position: position for position in places}
    size = (n_layers, len(prompts), d_model)
    shapes = {f"activations/{site}": size for site in sites} | {EMBEDDING: (1, *size[1:])}
    sized = {spot(item, own): shape for item, shape in shapes.items() for own in dict.fromkeys(first.values())}
    with complete_file(path) as part, new_hdf5(part) as file:
        check_room(path, sum(4 * math.prod(each) for each in sized.values()))
        datasets = {name: _allocated(file, name, each) for name, each in sized.items()}
        for item, (position, own) in itertools.product(shapes, first.items()):
            if position != own:
                file[spot(item, position)] = file[spot(item, own)]  # A hard link.
        _describe(file, prompts, n_tokens, places)
        file.flush()
        with open(part, "r+b", buffering=0) as stream:
            into = {name.removeprefix("activations/"): Region(stream, dataset) for name, dataset in datasets.items()}
            yield NewActivations(file.attrs, into)
        for name, region in into.items():
            if len(region.lacking()):
                raise ValueError(f"layer {region.lacking()[0]} of {name} lacks vectors")


def _describe(
    file: h5py.File,
    prompts: Sequence[Mapping[str, Any]],
    n_tokens: Sequence[int],
    places: Mapping[str, NDArray[np.int32]],
) -> None:
    """Write what stands in a file beside vectors."""
    text = h5py.string_dtype()
    file.create_dataset("id", data=[row["id"] for row in prompts], dtype=text)
    file.create_dataset("label", data=[row["label"] for row in prompts], dtype="i1")
    file.create_dataset("group", data=[row["group"] for row in prompts], dtype=text)
    file.create_dataset("n_tokens", data=n_tokens, dtype="i4")
    for position, tokens in places.items():
        file.create_dataset(f"places/{position}", data=tokens, dtype="i4")
    file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION, "positions": list(places)})


def _allocated(file: h5py.File, name: str, size: tuple[int, ...]) -> h5py.Dataset:
    """Return a new dataset in one piece, whose place in the file is fixed and filled with nothing."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return file.create_dataset(name, size, dtype="<f4", dcpl=properties)


def open_activations(path: str | Path) -> h5py.File:
    """Open an activation file for reading. Raises `UserError` if it is something else, or damaged."""
    return open_hdf5(path, _check)


def _check(file: h5py.File) -> None:
    """Raise an error if a file does not have the layout, in shapes that fit each other."""
    if not file.attrs.keys() >= {"format", "format_version"}:
        raise _another(file)
    if attribute(file, "format_version", INTEGER) != FORMAT_VERSION:
        raise _another(file)
    sites = member(file, "activations")
    groups = [member(sites, site) for site in sites] + [member(file, EMBEDDING)]
    # Before any string is read: the library would read some damaged ones without end.
    check_strings(file, but=[array(group, name, FLOAT, 3) for group in groups for name in group])
    if attribute(file, "format", TEXT) != FORMAT:
        raise _another(file)
    positions = positions_of(file)
    *of_sites, embedded = [[group[position].shape for position in positions] for group in groups]
    (n_layers, *size), *others = itertools.chain(*of_sites)
    places = {array(member(file, "places"), position, INTEGER, 2).shape for position in positions}
    kinds = {"id": TEXT, "group": TEXT, "label": INTEGER, "n_tokens": INTEGER}
    lengths = {len(array(file, name, kind, 1)) for name, kind in kinds.items()}
    fit = {*others} <= {(n_layers, *size)} and {*embedded} == {(1, *size)}
    if not fit or lengths != {size[0]} or places != {(size[0], 2)}:
        raise ValueError("the shapes of its datasets do not fit each other")


def positions_of(file: h5py.File) -> list[str]:
    """Return the positions of a file, in the order in which they were asked for."""
    return [str(position) for position in attribute(file, "positions", TEXT, 1)]


def vectors_of(file: h5py.File, *, embedding: bool = False) -> dict[tuple[str, str], h5py.Dataset]:
    """Return the vectors of each site and position, (n_layers, n_statements, d_model), last the embedding's if wanted.

    Both are in the order in which they were asked for. Raises `UserError` if the file does not say.
    """
    with undamaged(file.filename):
        names = list(json.loads(attribute(file, "sites", TEXT)))
        sites = {site: member(member(file, "activations"), site) for site in names}
        sites |= {EMBEDDING: member(file, EMBEDDING)} if embedding else {}
        positions = positions_of(file)
        return {(site, position): array(at, position, FLOAT, 3) for site, at in sites.items() for position in positions}


def _another(file: h5py.File) -> UserError:
    return UserError(f"{file.filename} is not an activation file of format version {FORMAT_VERSION}.")


def read_labels(file: h5py.File) -> Labels:
    """Return what a file says of its statements. Raises `UserError` if it cannot be read."""
    with undamaged(file.filename):
        ids, groups = (file[name].asstr()[:] for name in ("id", "group"))
        return Labels(ids=ids, labels=file["label"][:], groups=groups, n_tokens=file["n_tokens"][:])


def weights_of(file: h5py.File) -> str:
    """Return the weight format that the model really had. Raises `UserError` if the file does not say."""
    with undamaged(file.filename):
        return attribute(file, "weights", TEXT)
