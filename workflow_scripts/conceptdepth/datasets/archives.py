"""One file out of a wheel, sdist or other archive, of which nothing else is unpacked."""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from conceptdepth.ground.errors import UserError, explained

RATIO = 100
"""How many times its own size an archive may unpack to.

Of what is fetched the ratio is 1 (weights) to 5 (texts); deflate reaches 1,032, and archives in archives more.
"""

ALWAYS = 64 << 20
"""Bytes that any archive may unpack to, so that a small one of much the same is no suspect."""

LONGEST_HEADER = 1 << 20
"""Bytes of what describes an entry of a tar archive."""


def extract_member(archive: Path, member: str, destination: Path, scratch: Path) -> None:
    """Write one file of a zip or tar archive; ``outer!inner`` goes through nested archives, kept in ``scratch``.

    A ``./`` that a name begins with is no part of it. Raises `UserError` for what is missing, no file, no archive, or
    larger than `RATIO` allows.
    """
    limit = max(ALWAYS, RATIO * archive.stat().st_size)
    said = archive.name
    *outer, last = member.split("!")
    for depth, name in enumerate(outer):
        inner = scratch / f"inner-{depth}"
        _extract(archive, said, name, inner, limit)
        archive, said = inner, f"{said}!{name}"
    _extract(archive, said, last, destination, limit)


def _extract(archive: Path, said: str, member: str, destination: Path, limit: int) -> None:
    with explained(f"{said} cannot be unpacked"):
        opened = _in_zip if _is_zip(archive) else _in_tar
        with opened(archive, said, member, limit) as source, destination.open("wb") as target:
            shutil.copyfileobj(source, target)


def _is_zip(archive: Path) -> bool:
    """Tell by the first bytes: a tar whose last file is a zip ends as a zip does."""
    with archive.open("rb") as stream:
        return stream.read(4) in (b"PK\3\4", b"PK\5\6")  # The latter if it is empty.


def _plain(name: str) -> str:
    """Return a name without the ``./`` that ``tar c ./*`` stores."""
    return name.removeprefix("./")


@contextmanager
def _in_zip(archive: Path, said: str, member: str, limit: int) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(archive) as opened:
        entries = reversed(opened.infolist())  # Of one name the last, as in a tar.
        found = next((entry for entry in entries if _plain(entry.filename) == _plain(member)), None)
        if found is None:
            raise _missing(said, member)
        if found.is_dir() or stat.S_ISLNK(found.external_attr >> 16) or found.flag_bits & 1:
            raise UserError(f"{said}: {member!r} is a folder, a link or encrypted, not a file.")
        _check_size(said, found.file_size, limit)  # No more bytes are ever read than it says here.
        with opened.open(found) as stream:
            yield stream


@contextmanager
def _in_tar(archive: Path, said: str, member: str, limit: int) -> Iterator[IO[bytes]]:
    with _opened_tar(archive, said, member) as opened:
        size, found = 0, None
        for entry in opened:
            size += abs(entry.size)  # A negative one makes no room for others.
            _check_size(said, size, limit)  # What stands before a member is unpacked, too.
            found = entry if _plain(entry.name) == _plain(member) else found
        if found is None:
            raise _missing(said, member)
        stream = opened.extractfile(found) if found.isfile() else None
        if stream is None:
            raise UserError(f"{said}: {member!r} is a folder, a link or a device, not a file.")
        with stream:
            yield stream


def _opened_tar(archive: Path, said: str, member: str) -> tarfile.TarFile:
    try:
        return tarfile.open(archive, tarinfo=_Entry)
    except tarfile.ReadError:
        raise UserError(f"{said} is neither a zip nor a tar archive, so that it has no member {member!r}.") from None


class _Entry(tarfile.TarInfo):
    """An entry of a tar archive, of which names and the like, read into memory whole, are no longer than names."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if not (self.isfile() or self.size <= LONGEST_HEADER):
            raise tarfile.TarError(f"an entry has a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


def _missing(said: str, member: str) -> UserError:
    return UserError(f"{said} has no member {member!r}.")


def _check_size(said: str, size: int, limit: int) -> None:
    if size > limit:
        raise UserError(
            f"{said} unpacks to more than {limit:,} bytes, many times what was fetched; unpack it yourself and give "
            "the file as `path` if you trust it."
        )
