"""A page that opens from a file: templates, scripts and data in one piece of HTML."""

import base64
import gzip
import html
import json
from collections.abc import Mapping
from typing import Any

from jinja2 import DictLoader, Environment

PAGE = "page.html"
"""The template among the files of a page; it includes the others by their names."""

TEXT_IN_SCRIPT = (("</script", "<\\/script"), ("</SCRIPT", "<\\/SCRIPT"), ("<!--", "<\\!--"))
"""What would end a script, or begin a comment, in the midst of a string of JavaScript; and the same string, written so
that it does not."""


def rendered(files: Mapping[str, str], *, title: str, record: str, vega: str, data: str) -> str:
    """Return the page.

    ``files`` has the content of the template, of styles and of scripts by their names, ``vega`` is a script, ``data``
    is what `compressed` returns, ``record`` what the page carries in its metadata.
    """
    safe = {name: in_script(text) if name.endswith(".js") else text for name, text in files.items()}
    # Without autoescape, as nearly all that stands in the page is a script; what is text is escaped here.
    template = Environment(loader=DictLoader(safe), autoescape=False, keep_trailing_newline=True).get_template(PAGE)  # noqa: S701
    return template.render(title=html.escape(title), record=html.escape(record), vega=in_script(vega), data=data)


def in_script(code: str) -> str:
    """Return JavaScript that does the same and can stand between ``<script>`` and ``</script>``."""
    for dangerous, harmless in TEXT_IN_SCRIPT:
        code = code.replace(dangerous, harmless)
    return code


def compressed(data: Any) -> str:
    """Return data as JSON, compressed with gzip, in base64: the same bytes for the same data."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8"), mtime=0)).decode("ascii")
