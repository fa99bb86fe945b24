"""What a disk refuses, told in one sentence, and whether a file will have room on it."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.secrets import public

ELSEWHERE = "let `results` be a link to a folder on another disk"

REASONS = {
    errno.ENOSPC: f"there is no room left on its disk; free some, or {ELSEWHERE}",
    errno.EDQUOT: f"your quota on its disk is used up; free some, or {ELSEWHERE}",
    errno.EFBIG: "it would be larger than its disk, or `ulimit -f`, allows",
    errno.EROFS: f"its disk is read-only; {ELSEWHERE}",
    errno.EACCES: "you are not allowed to; `ls -ld` says whose it is",
    errno.EPERM: "you are not allowed to; `ls -ld` says whose it is",
    errno.ENAMETOOLONG: "its name is longer than its disk takes; shorten the names in the configuration",
    errno.ENOTDIR: "there is a file where its folder should be; move it away",
    errno.EEXIST: "there is something else where a folder should be; move it away",
    errno.EISDIR: "there is a folder where the file should be; move it away",
    errno.ELOOP: "it is a link that leads to itself; remove it",
    errno.ENOENT: "there is no such file or folder (any more)",
    errno.EAGAIN: "another program has it open and locked; close it there, and run again",
    errno.EMFILE: "too many files are open; raise `ulimit -n`",
    errno.ENFILE: "too many files are open on this machine",
    errno.EIO: "its disk fails to read or write",
    errno.ESTALE: "its disk, a network one, has lost it; run again",
}
"""Why a file cannot be read or written, for each error that a person can put right."""


def refusal(error: OSError) -> str | None:
    """Return in one sentence which file cannot be read or written and why; None if nobody but a programmer can tell."""
    name = error.filename2 or error.filename
    if error.errno not in REASONS or (name is None and error.errno == errno.EAGAIN):  # As of a process too many.
        return None
    if name is None and error.errno == errno.ENOENT:  # As of a folder for temporary files.
        return f"{error.strerror}."
    return f"{name or 'a file'} cannot be read or written: {REASONS[error.errno]}."


def told(error: UserError | OSError) -> str:
    """Return the sentence of an error that a person can put right, without secrets."""
    return public((isinstance(error, OSError) and refusal(error)) or str(error))


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Let errors of a disk that do not name the file, as those of writing never do, name this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def check_room(path: str | Path, size: int) -> None:
    """Raise `UserError` if the disk has no room for a file of so many bytes; its folder exists."""
    free = shutil.disk_usage(Path(path).parent).free
    if size > free:
        raise UserError(
            f"{path} takes {size / 1e9:,.3f} GB, and {free / 1e9:,.3f} GB are free on its disk; free some, "
            f"or {ELSEWHERE}."
        )
