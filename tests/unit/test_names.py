"""What documentation and docstrings name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "workflow_scripts"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("*/README.md"),
    *ROOT.glob("resources/*/README.md"),
]
LISTS = [
    *ROOT.glob("requirements*.txt"),
    ROOT / "Makefile",
    ROOT / "pyproject.toml",
    ROOT / "mkdocs.yml",
    ROOT / ".ci/run",
    *ROOT.glob("config/**/*.yaml"),
]
CODE = [*LIBRARY.rglob("*.py"), *ROOT.glob("rules/*.smk"), *ROOT.glob("config/**/*.yaml"), *PAGES]

FOLDERS = "config|docs|envs|profiles|report|resources|rules|tests|workflow_scripts"


def paths_in(text: str) -> set[str]:
    """Paths from the root of the repository, in code or links; not those with a place to fill in."""
    found = re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]+\.(?:py|md|yaml|smk|csv))", text)
    return set(found)


def links_in(text: str) -> set[str]:
    """Targets of links that are no addresses and no places in a page."""
    return {
        target.partition("#")[0]
        for target in re.findall(r"\]\(([^)\s]+)\)", text)
        if not re.match(r"https?:|#", target)
    }


def missing(page: Path, text: str) -> list[str]:
    """What a page names and the repository does not have."""
    paths = [path for path in paths_in(text) if not (ROOT / path).exists()]
    return sorted(paths + [link for link in links_in(text) if not (page.parent / link).exists()])


@pytest.mark.parametrize(
    "page", [*PAGES, *LISTS, *ROOT.glob("rules/*.smk")], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_paths_and_links_of_a_page_exist(page):
    assert missing(page, page.read_text()) == []


def test_a_path_or_link_that_is_gone_is_found():
    text = "`tests/unit/gone.py` and [a page](gone.md), not [an address](https://example.org) nor [a file](README.md)."
    assert missing(ROOT / "README.md", text) == ["gone.md", "tests/unit/gone.py"]


def unknown(text: str) -> list[str]:
    """Names of the library in back quotes that no module defines."""
    return [name for name in re.findall(r"`+(conceptdepth(?:\.\w+)+)`", text) if not is_defined(name)]


def is_defined(name: str) -> bool:
    """Tell whether a dotted name is a package, a module, or something that a module defines at its top."""
    *parents, last = name.split(".")
    whole = LIBRARY.joinpath(*parents, last)
    if whole.is_dir() or whole.with_suffix(".py").is_file():
        return True
    module = LIBRARY.joinpath(*parents).with_suffix(".py")
    defined = rf"^(?:def|class) {last}\b|^{last}\b.*="
    return module.is_file() and re.search(defined, module.read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize("file", CODE, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_names_of_the_library_exist(file):
    assert unknown(file.read_text()) == []


def test_a_name_that_is_gone_is_found():
    text = "`conceptdepth.probes.splits.folds_of`, `conceptdepth.probes`, `conceptdepth.splits`, `conceptdepth.probes.splits.gone`"
    assert unknown(text) == ["conceptdepth.splits", "conceptdepth.probes.splits.gone"]
