"""A real browser, Debian's Chromium, for pages that people open from a file."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    not CHROMIUM, reason="no browser here: chromium not found (apt-get install chromium)"
)

# As root Chromium has no sandbox; and it is not to look for its maker's servers, which nothing here reaches.
OPTIONS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

CHARTS_ARE_DRAWN = (
    "() => window.explorer && document.querySelectorAll('.chart').length === window.explorer.charts().length"
)

MARKS = """() => [...document.querySelectorAll('.chart .mark-symbol path, .chart .mark-rect path')]
    .map((mark) => mark.__data__?.datum).filter((datum) => datum && datum.key)"""
"""The data behind every point and cell that is drawn and belongs to a curve."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser and stop it at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


class Explorer:
    """An explorer that is open in a browser, and all that the browser complained of."""

    def __init__(self, browser: Browser, path: Path, *, size: dict[str, int] = DESKTOP, theme: Any = "light") -> None:
        self.complaints: list[str] = []
        self.page: Page = browser.new_page(viewport=size, color_scheme=theme, accept_downloads=True)
        self.page.set_default_timeout(20_000)
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._complain_of_network(request.url))
        self.address = path.absolute().as_uri()
        self.go("")

    def _complain_of_network(self, url: str) -> None:
        if not url.startswith(("file:", "blob:", "data:")):
            self.complaints.append(f"asked the network for {url}")

    def go(self, words: str) -> None:
        """Open the page anew, with these words behind the # of its address."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#{words}")
        self.drawn()

    def drawn(self) -> None:
        """Wait until all charts of the view are drawn."""
        self.page.wait_for_function(CHARTS_ARE_DRAWN)

    def view(self, name: str) -> None:
        """Go to a view by its tab."""
        self.page.get_by_role("tab", name=name, exact=True).click()
        self.drawn()

    def views(self) -> list[str]:
        """Return the names of the tabs."""
        return self.page.get_by_role("tab").all_inner_texts()

    def check(self, box: str, checked: bool = True) -> None:
        """Check a box of the choices, known by its id."""
        self.page.locator(f'[id="{box}"]').set_checked(checked)
        self.drawn()

    def choose(self, words: str, value: str) -> None:
        """Choose from a list, known by its label."""
        self.page.get_by_label(words, exact=True).select_option(value)
        self.drawn()

    def marks(self) -> list[dict[str, Any]]:
        """Return what is behind every mark that is drawn and belongs to a curve."""
        return self.page.evaluate(MARKS)

    def table(self) -> list[list[str]]:
        """Return the cells of the table that is shown, row by row."""
        return [row.locator("td").all_inner_texts() for row in self.page.locator("#view tbody tr").all()]

    def wider_than_window(self) -> int:
        """Return by how many pixels one would have to scroll sidewards."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
