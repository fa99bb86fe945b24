"""A page that opens from a file: templates, scripts and data in one piece of HTML."""

import base64
import html
import json
import math
import re
import zlib
from collections.abc import Mapping
from typing import Any

from jinja2 import DictLoader, Environment

PAGE = "page.html"
"""The template among the files of a page; it includes the others by their names."""

GZIP = zlib.MAX_WBITS | 16
"""The format of gzip; the time in it is 0."""

PIECE = 1 << 18
"""Bytes that are compressed at once."""

IN_SCRIPT = re.compile("<(?=/script|!--)", re.IGNORECASE)
"""What would end a script, or begin a comment, in the midst of a string of JavaScript."""


def rendered(files: Mapping[str, str], *, title: str, record: str, vega: str, data: str) -> str:
    """Return the page.

    ``files`` has the content of the template, of styles and of scripts by their names, ``vega`` is a script, ``data``
    is what `compressed` returns, ``record`` what the page carries in its metadata.
    """
    safe = {name: in_script(text) if name.endswith(".js") else text for name, text in files.items()}
    # Without autoescape, as nearly all that stands in the page is a script; what is text is escaped here.
    template = Environment(loader=DictLoader(safe), autoescape=False, keep_trailing_newline=True).get_template(PAGE)
    return template.render(title=html.escape(title), record=html.escape(record), vega=in_script(vega), data=data)


def in_script(code: str) -> str:
    """Return JavaScript that does the same and can stand between ``<script>`` and ``</script>``."""
    return IN_SCRIPT.sub(r"<\\", code)


def compressed(data: Any, most: float = math.inf) -> str | None:
    """Return data as JSON, compressed with gzip, in base64: the same bytes for the same data.

    None if that has more than ``most`` characters, which is known before all of it is compressed.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    packer, packed = zlib.compressobj(wbits=GZIP), bytearray()
    for start in range(0, len(text), PIECE):
        packed += packer.compress(text[start : start + PIECE])
        if len(packed) * 4 / 3 > most:
            return None
    found = base64.b64encode(packed + packer.flush()).decode("ascii")
    return found if len(found) <= most else None
