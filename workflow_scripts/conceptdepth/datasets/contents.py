"""The content of a user's file: unpacked, and as text in UTF-8. Raises `UserError` that names the file."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from conceptdepth.ground.errors import UserError, explained

MOST_BYTES = 1 << 32
"""A file that unpacks to more than 4 GiB is refused."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some programs, Excel among them, put before UTF-8."""

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16; that of UTF-32 begins with one of them."""


def _only_member(stream: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(stream)
    files = [member for member in archive.infolist() if not member.is_dir()]
    if len(files) != 1:
        raise ValueError(f"it holds {len(files)} files instead of one")
    return archive.open(files[0])


PACKED: dict[bytes, tuple[str, Callable[[Any], IO[bytes]]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),  # type: ignore[dict-item]
    b"BZh91AY&SY": ("bzip2", bz2.open),  # type: ignore[dict-item]
    b"\xfd7zXZ\x00": ("xz", lzma.open),  # type: ignore[dict-item]
    b"PK\x03\x04": ("zip", _only_member),
}
"""First bytes of a packed file -> its form, and what opens it."""


def read_content(path: str | Path) -> bytes:
    """Return the bytes of a file, unpacked if its first bytes say that it is packed."""
    with explained(f"{path} cannot be read"):
        content = Path(path).read_bytes()
    for first, (form, opened) in PACKED.items():
        if content.startswith(first):
            with explained(f"{path} cannot be unpacked as {form}"), opened(io.BytesIO(content)) as stream:
                content = stream.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise UserError(f"{path} unpacks to more than {MOST_BYTES >> 30} GiB.")
            return content
    return content


def read_text(path: str | Path) -> str:
    """Return the text of a file in UTF-8, packed or not, without a byte order mark."""
    content = read_content(path).removeprefix(BYTE_ORDER_MARK)
    if content.startswith(UTF_16) or b"\0" in content[:2]:
        raise UserError(f"{path} is no text in UTF-8 (but in UTF-16, perhaps); save it as UTF-8.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise UserError(f"{path}, line {line}: the byte 0x{byte:02x} is not UTF-8; save the file as UTF-8.") from None
