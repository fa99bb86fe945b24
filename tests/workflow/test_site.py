"""The documentation builds without a warning, asks no network for anything, and has its answers where links lead."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from browser import DESKTOP, PHONE, chromium, needs_chromium
from documentation import ROOT
from questions import QUESTIONS


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it, in another folder."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    variables = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=variables)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return folder


class Parts(HTMLParser):
    """What a page has: ids, links, and what it loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(page)

    def handle_starttag(self, name, attributes) -> None:
        own = dict(attributes)
        self.ids |= {own["id"]} if own.get("id") else set()
        if name == "a" and own.get("href"):
            self.links.append(own["href"])
        loads = own.get("src") or (name == "link" and own.get("rel") != "canonical" and own.get("href"))
        if loads:
            self.loaded.append(loads)


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Parts(path.read_text()) for path in site.rglob("*.html")}


def test_every_page_of_the_repository_has_a_place(pages):
    written = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert written < pages.keys()
    assert {"index.html", "configuration.html", "security.html", "changelog.html"} <= pages.keys()


def test_no_page_loads_anything_from_elsewhere(pages):
    assert sum(len(parts.loaded) for parts in pages.values()) > 100
    assert {at for parts in pages.values() for at in parts.loaded if re.match(r"(?:\w+:)?//", at)} == set()


def test_links_within_the_site_lead_to_what_is_there(site, pages):
    for name, parts in pages.items():
        if name == "404.html":
            continue
        for link in parts.links:
            if not re.match(r"\w+:", link):
                target, hash_ = urldefrag(urljoin(name, link))
                assert (site / target).exists(), (name, link)
                assert not hash_ or unquote(hash_) in pages[target].ids, (name, link)


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_has_a_place_in_the_site(pages, question):
    page, _, heading = QUESTIONS[question][0].partition("#")
    places = {"README.md": "index.md", "config/README.md": "configuration.md"}
    parts = pages[places.get(page, page.removeprefix("docs/")).replace(".md", ".html")]
    assert not heading or heading in parts.ids


def test_the_help_of_every_command_and_docstrings_are_there(site, pages):
    text = (site / "commands.html").read_text()
    assert text.count("Usage: conceptdepth ") > 11
    assert {"conceptdepth.depth.definitions", "conceptdepth.activations.store"} <= pages["python_reference.html"].ids


@needs_chromium
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_can_be_read_and_searched_from_a_disk(site, size):
    asked = []
    with chromium() as browser:
        page = browser.new_page(viewport=size)
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "tutorials/own_csv", "tables", "questions", "commands"):
            page.goto((site / f"{name}.html").as_uri())
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name} scrolls sidewards"
        page.goto((site / "index.html").as_uri())
        if size == PHONE:
            page.locator("label.md-header__button[for=__search]").click()
        page.locator("input.md-search__input").press_sequentially("jump point", delay=50)
        page.locator(".md-search-result__link").first.wait_for(timeout=20_000)
        assert page.locator(".md-search-result__link").count() > 3
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


# --- What is done to pages -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("documentation_hooks", ROOT / "resources/documentation/hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "place", "link", "expected"),
    [
        ("docs/depth.md", "depth.md", "[a](probes.md#b)", "[a](probes.md#b)"),
        ("docs/depth.md", "depth.md", "[a](../config/README.md#b)", "[a](configuration.md#b)"),
        ("docs/howto/gpus.md", "howto/gpus.md", "[a](../../SECURITY.md)", "[a](../security.md)"),
        ("config/README.md", "configuration.md", "[a](../docs/howto/gpus.md)", "[a](howto/gpus.md)"),
        ("README.md", "index.md", "![a](docs/depths.png)", "![a](depths.png)"),
        ("docs/depth.md", "depth.md", "[x.py](../tests/x.py)", "`tests/x.py`"),
        ("docs/depth.md", "depth.md", "[the code](../tests/x.py)", "the code (`tests/x.py`)"),
        ("docs/depth.md", "depth.md", "[a](https://example.org/b.md)", "[a](https://example.org/b.md)"),
        ("docs/depth.md", "depth.md", "[a](#b)", "[a](#b)"),
    ],
)
def test_a_link_leads_to_its_page_or_names_its_file(hooks, source, place, link, expected):
    assert hooks.linked(hooks.LINK.fullmatch(link), source, place) == expected


def test_code_keeps_its_links(hooks):
    assert hooks.outside_code("a\n    a\n```\na\n```\na", str.upper) == "A\n    a\n```\na\n```\nA"


def test_what_belongs_to_an_item_is_indented_by_four(hooks):
    text = "- a\n\n  b\n\n      code\n  - c\n\n1. d\n   e\nf\n\n```yaml\n- g\n  h\n```\n  i"
    assert hooks.items_by_four(text) == (
        "- a\n\n    b\n\n        code\n    - c\n\n1. d\n    e\nf\n\n```yaml\n- g\n  h\n```\n  i"
    )
