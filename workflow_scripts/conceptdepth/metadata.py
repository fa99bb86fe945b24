"""The id of its record that a file carries in its own metadata."""

import re
from pathlib import Path

from conceptdepth.provenance import PREFIX

_ID = re.compile(re.escape(PREFIX) + r"([0-9a-f]{64})")


def embedded_id(path: str | Path) -> str | None:
    """Return the id that a PNG, SVG, HDF5 or HTML file carries; None for other files and broken ones."""
    match Path(path).suffix.lower():
        case ".png":
            found = _ID.search(_png_identifier(path))
        case ".svg" | ".html":
            found = _ID.search(Path(path).read_text(encoding="utf-8", errors="replace"))
        case ".h5":
            return _hdf5_attribute(path)
        case _:
            return None
    return found.group(1) if found else None


def _png_identifier(path: str | Path) -> str:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return str(image.info.get("Identifier", ""))
    except (OSError, SyntaxError, ValueError):
        return ""


def _hdf5_attribute(path: str | Path) -> str | None:
    import h5py

    try:
        with h5py.File(path) as file:
            return file.attrs.get("record")
    except OSError:
        return None
