"""HDF5 files: written on disks that may be full, and read where they may be damaged.

What is in a file is looked at before anything is read. A dataset must be of the type and the number of axes that
its reader expects, in one piece, and that piece must lie in the file, so that no number in a damaged file decides how
much is read or how much memory is taken. The HDF5 library itself can hang or die over damaged metadata: no check behind
its back helps then, and jobs compare the whole file with its record before they open it.
"""

import math
import mmap
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from conceptdepth.ground.errors import UserError, explained

TEXT, INTEGER, FLOAT = h5py.h5t.TypeStringID, h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID
NUMBER = (INTEGER, FLOAT)
Kind = type | tuple[type, ...]
"""Kinds of what is stored. What is of another kind than its reader expects is not read: some kinds kill the library."""


def open_hdf5(path: str | Path, check: Callable[[h5py.File], object]) -> h5py.File:
    """Open a file for reading. Raises `UserError` if it is none, or if ``check`` of it raises anything."""
    try:
        file = h5py.File(path, "r")
    except BlockingIOError:
        raise UserError(f"{path} is open and locked in another program; close it there, and run again.") from None
    except OSError as error:
        raise UserError(f"{path} is not a readable HDF5 file ({error}).") from None
    try:
        with undamaged(path):
            check(file)
    except UserError:
        file.close()
        raise
    return file


@contextmanager
def undamaged(path: str | Path) -> Iterator[None]:
    """Turn whatever is raised while a file is read into a `UserError` that says that it is damaged."""
    with explained(f"{path} is damaged; delete it and run again"):
        yield


def member(group: h5py.Group, name: str) -> h5py.Group:
    """Return a group in a group. Raises `ValueError` if it is none."""
    found = group[name]
    if not isinstance(found, h5py.Group):
        raise ValueError(f"{name} is not a group")
    return found


def array(group: h5py.Group, name: str, kind: Kind, axes: int) -> h5py.Dataset:
    """Return a dataset in a group, of a kind and with so many axes, that lies in the file in one piece.

    Raises `ValueError` if it is anything else.
    """
    found = group[name]
    if not isinstance(found, h5py.Dataset) or not _is(found.id, kind, axes) or found.dtype.kind not in "iufO":
        raise ValueError(f"{name} is not a dataset of its kind, with {axes} axes")
    properties, place = found.id.get_create_plist(), found.id.get_offset()
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        raise ValueError(f"{name} does not lie in the file in one piece")
    if found.size and (place is None or place + _bytes(found.id) > found.file.id.get_filesize()):
        raise ValueError(f"{name} goes beyond the file")
    return found


def attribute(group: h5py.Group | h5py.Dataset, name: str, kind: Kind, axes: int = 0) -> Any:
    """Return an attribute of a kind and with so many axes. Raises `ValueError` if it is anything else."""
    found = group.attrs.get_id(name)
    if not _is(found, kind, axes) or _bytes(found) > group.file.id.get_filesize():
        raise ValueError(f"the attribute {name} is not of its kind")
    return group.attrs[name]


def _is(stored: Any, kind: Kind, axes: int) -> bool:
    return isinstance(stored.get_type(), kind) and stored.shape is not None and len(stored.shape) == axes


def _bytes(stored: Any) -> int:
    """Return the bytes that stand for a dataset or an attribute, without those of strings of any length."""
    return math.prod(stored.shape) * stored.get_type().get_size()


_COLLECTION = re.compile(rb"GCOL\x01")


def check_strings(file: h5py.File, but: Iterable[h5py.Dataset] = ()) -> None:
    """Raise `ValueError` if strings lie in a file in such a way that the library would read them without end.

    It keeps them in collections of objects, one after another, each with its size, and steps from one to the next by
    that size alone: if a damaged one leads nowhere, it never arrives at the end. Nothing is looked for in ``but``,
    large datasets that `array` has looked at.
    """
    pieces = sorted((dataset.id.get_offset(), _bytes(dataset.id)) for dataset in but if dataset.size)
    with open(file.filename, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin = 0
        for place, size in [*pieces, (len(content), 0)]:
            for found in _COLLECTION.finditer(content, begin, place):
                _check_collection(content, found.start())
            begin = place + size


def _check_collection(content: mmap.mmap, start: int) -> None:
    size = int.from_bytes(content[start + 8 : start + 16], "little")
    place, end = start + 16, start + size
    if end > len(content):
        raise ValueError(f"the strings at byte {start} go beyond the file")
    while end - place >= 16:
        number = int.from_bytes(content[place : place + 2], "little")
        held = int.from_bytes(content[place + 8 : place + 16], "little")
        step = held if number == 0 else 16 + -(-held // 8) * 8  # What is free counts its own head.
        if not 16 <= step <= end - place:
            raise ValueError(f"the string at byte {place} has a size that cannot be")
        place += step


@contextmanager
def new_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Give a new HDF5 file to write to. Raises `OSError` as other files do.

    It is written through Python: HDF5's own way ends the process (SIGSEGV) if the disk is full when the file is closed.
    """
    with open(path, "w+b") as stream, h5py.File(stream, "w") as file:
        yield file
