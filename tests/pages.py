"""What stands in a page, as a browser would find it."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return the elements of a page in their order, each with its attributes."""
    return [(name, attributes) for name, attributes, _ in _parsed(page)]


class DataInScripts(dict):
    """The data of a page of Snakemake's, by the name of the variable, as far as each script reaches."""

    def __init__(self, page: str) -> None:
        super().__init__()
        for name, _, text in _parsed(page):
            if name == "script" and (found := re.fullmatch(r"\s*var (\w+) = (.*);\s*", text, re.DOTALL)):
                self[found[1]] = json.loads(found[2])


def explorer_data(page: str) -> dict:
    """Return the data of an explorer, wherever in the page they stand; gzip begins with the same bytes anywhere."""
    (found,) = re.findall(r"H4sIAAAAAA[A-Za-z0-9+/]+=*", page)
    return json.loads(gzip.decompress(base64.b64decode(found)))


def _parsed(page: str) -> list[tuple[str, dict[str, str | None], str]]:
    parser = _Parser()
    parser.feed(page)
    parser.close()
    return [(name, attributes, "".join(text)) for name, attributes, text in parser.found]


class _Parser(HTMLParser):
    """Collects name, attributes and the text that follows the start of each element."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []

    def handle_starttag(self, name, attributes) -> None:
        self.found.append((name, dict(attributes), []))

    def handle_data(self, text) -> None:
        if self.found:
            self.found[-1][2].append(text)
