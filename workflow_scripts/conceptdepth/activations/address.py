"""Where the worker of a Snakemake listens, the lock of that address, and what is left of it when it was killed."""

import fcntl
import hashlib
import os
import platform
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from conceptdepth.ground.errors import UserError
from conceptdepth.provenance.job import RUN_VARIABLE

LONGEST = 103
"""Bytes that the path of a Unix socket may have on every system; on Linux it may have four more."""

OF_MACHINE, OF_WORKER = 6, 10
"""Digits of the name of a socket that tell the machine and the worker: several machines may share the folder."""


def address(digest: str) -> Path:
    """Return the socket of the worker for this Snakemake, machine, folder, code, Python, set of GPUs and SLURM job.

    Its folder is in that for temporary files, or in /tmp if that has too long a path. Raises `UserError` if somebody
    else could enter it.
    """
    variables = (RUN_VARIABLE, "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")
    parts = [digest, sys.executable, str(Path.cwd()), *(os.environ.get(variable, "") for variable in variables)]
    name = f"{_digest(platform.node(), OF_MACHINE)}{_digest(chr(0).join(parts), OF_WORKER)}.sock"
    inner = Path(f"conceptdepth-{os.getuid()}", name)
    path = tempfile.gettempdir() / inner
    if len(os.fsencode(path)) > LONGEST:
        path = "/tmp" / inner
    with suppress(FileExistsError):
        path.parent.mkdir(mode=0o700)
    _check_own(path.parent)
    return path


def _check_own(folder: Path) -> None:
    """Raise `UserError` unless this is a folder, no link to one, that only this user can enter."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UserError(f"{folder} should be a folder and is a file or a link; remove it, or set TMPDIR.")
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UserError(f"{folder} belongs to another user or is open to others; remove it, or set TMPDIR.")


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Lock the address of a worker, and tell whether that succeeded; the lock goes when the process dies, too."""
    file = path.with_suffix(".lock")
    while True:
        with file.open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            if _is_named(stream, file):
                yield True
                return


def _is_named(stream: TextIO, path: Path) -> bool:
    """Tell whether an open file still has its name: who held its lock before may have removed it."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    return False


def connect(path: Path) -> socket.socket | None:
    """Connect to the worker at an address; None if there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def remove(path: Path) -> None:
    """Remove an address that the caller has locked."""
    for suffix in (".sock", ".log", ".lock"):
        path.with_suffix(suffix).unlink(missing_ok=True)


def remove_dead(path: Path) -> None:
    """Remove the addresses of workers that were killed, on the machine of this address."""
    for file in path.parent.glob(f"{path.name[:OF_MACHINE]}*.lock"):
        other = file.with_suffix(".sock")
        with suppress(OSError), locked(other, wait=False) as alone:
            connection = connect(other) if alone else None
            if connection:
                connection.close()
            elif alone:
                remove(other)
