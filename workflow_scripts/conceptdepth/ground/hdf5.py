"""Writing HDF5 files on disks that may be full."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py


@contextmanager
def new_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Give a new HDF5 file to write to. Raises `OSError` as other files do.

    It is written through Python: HDF5's own way ends the process (SIGSEGV) if the disk is full when the file is closed.
    """
    with open(path, "w+b") as stream, h5py.File(stream, "w") as file:
        yield file
