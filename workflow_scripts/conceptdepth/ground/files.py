"""Writing files complete or not at all, and naming their bytes."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conceptdepth.ground.disk import naming

ROOT = Path(__file__).resolve().parents[3]
"""The repository."""

SCRIPTS = ROOT / "workflow_scripts"
"""Folder of the rules' scripts and of this library."""


@contextmanager
def complete_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to; it becomes ``path`` only if the block succeeds."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.part")
    try:
        with naming(final):
            yield temporary
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
