"""Where the worker of a Snakemake listens, and the lock of that address."""

import fcntl
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conceptdepth.ground.errors import UserError
from conceptdepth.provenance.job import RUN_VARIABLE

LONGEST = 103
"""Bytes that the path of a Unix socket may have on every system; on Linux it may have four more."""


def address(digest: str) -> Path:
    """Return the socket of the worker for this Snakemake, folder, code, interpreter, set of GPUs and SLURM job.

    Its folder is in that for temporary files, or in /tmp if that has too long a path. Raises `UserError` if somebody
    else could enter it.
    """
    variables = (RUN_VARIABLE, "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")
    parts = [digest, sys.executable, str(Path.cwd()), *(os.environ.get(variable, "") for variable in variables)]
    inner = Path(f"conceptdepth-{os.getuid()}", hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16] + ".sock")
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


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Lock the address of a worker, and tell whether that succeeded; the lock goes when the process dies, too."""
    with path.with_suffix(".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
