"""Where the worker of a Snakemake listens, and the lock of that address."""

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conceptdepth.ground.errors import UserError
from conceptdepth.provenance.job import RUN_VARIABLE


def address(digest: str) -> Path:
    """Return the socket of the worker for this Snakemake, folder, code, interpreter, set of GPUs and SLURM job."""
    variables = (RUN_VARIABLE, "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")
    parts = [digest, sys.executable, str(Path.cwd()), *(os.environ.get(variable, "") for variable in variables)]
    folder = Path(tempfile.gettempdir()) / f"conceptdepth-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise UserError(f"{folder} belongs to another user or is open to others; remove it, or set TMPDIR.")
    return folder / (hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16] + ".sock")


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
