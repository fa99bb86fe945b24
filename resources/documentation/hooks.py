"""What MkDocs does to pages besides rendering them (`hooks` in mkdocs.yml).

Pages are written to be read in the repository: they link to each other, to code and to tables by the way from their
file. In the site, pages that lie outside of ``docs/`` get a place, links to any page go there, and links to other
files, which the site does not have, become the names of these files.
"""

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "DATA.md": "datasets.md",
    "SECURITY.md": "security.md",
    "config/README.md": "configuration.md",
    "profiles/README.md": "profiles.md",
    "resources/published/README.md": "published.md",
}
"""Page of the repository outside of docs/ -> its place in the site."""

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CODE = re.compile(r"^ {4}.*?$|^```.*?^```", re.MULTILINE | re.DOTALL)
SHIM, OWN_SHIM = "https://unpkg.com/iframe-worker/shim", "assets/javascripts/iframe-worker.js"
"""What the theme would ask the network for where a page is opened from a disk, and where our copy of it lies."""

HELP = "<!-- help of each command -->"
MODULES = re.compile(r"<!-- modules of (\w+) -->")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Give pages outside of docs/ their place."""
    for source, place in PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text(encoding="utf-8")))
    shim = (ROOT / "resources/documentation/iframe-worker.js").read_text(encoding="utf-8")
    files.append(File.generated(config, OWN_SHIM, content=shim))
    return files


def on_post_template(html: str, template_name: str, config: MkDocsConfig) -> str:
    """Let the page of what is not found ask this site alone."""
    return html.replace(SHIM, OWN_SHIM)


def on_post_page(html: str, page: Page, config: MkDocsConfig) -> str:
    """Let a page ask this site alone."""
    return html.replace(SHIM, posixpath.relpath(OWN_SHIM, posixpath.dirname(page.url) or "."))


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page with links that the site has, and with what is generated."""
    place = page.file.src_uri
    source = next((source for source, other in PAGES.items() if other == place), f"docs/{place}")
    text = text.replace(HELP, helps()) if HELP in text else text
    text = MODULES.sub(lambda found: modules(found[1]), text)
    return items_by_four(outside_code(text, lambda part: LINK.sub(lambda link: linked(link, source, place), part)))


def items_by_four(text: str) -> str:
    """Indent what belongs to an item of a list by four, as Python-Markdown wants it, not by the width of its mark."""
    lines, width, fenced = [], 0, False
    for line in text.split("\n"):
        item = None if fenced else re.match(r"- |\d\. ", line)
        if item:
            width = len(item[0])
        elif line[:width].strip():
            width = 0
        fenced ^= not width and line.startswith("```")
        lines.append(" " * (4 - width) + line if width and line.strip() and not item else line)
    return "\n".join(lines)


def outside_code(text: str, change) -> str:
    """Change what stands between stretches of code."""
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [change(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(text[end:])])


def linked(link: re.Match[str], source: str, place: str) -> str:
    """Return a link of a file of the repository as one of the site's, or the name of a file that the site has not."""
    image, words, target = link.groups()
    path, hash_sign, anchor = target.partition("#")
    if re.match(r"\w+:", target) or not path:
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if path in PAGES or path.startswith("docs/"):
        there = PAGES.get(path, path.removeprefix("docs/"))
        way = posixpath.relpath(there, posixpath.dirname(place) or ".")
        return f"{image}[{words}]({way}{hash_sign}{anchor})"
    name = posixpath.basename(path)
    return f"`{path}`" if words.strip("`") in (path, name) else f"{words} (`{path}`)"


def helps() -> str:
    """Return the help of every command, as it prints it."""
    library()
    from conceptdepth.commands.main import app
    from typer.main import get_command
    from typer.testing import CliRunner

    run = CliRunner().invoke
    texts = []
    for name in get_command(app).commands:
        shown = run(app, [name, "--help"], prog_name="conceptdepth", env={"COLUMNS": "100"}).stdout
        texts.append(f"### {name}\n\n```text\n{shown.strip()}\n```")
    return "\n\n".join(texts)


def modules(package: str) -> str:
    """Return what mkdocstrings is to show of each module of a package of the library."""
    names = sorted(path.stem for path in (ROOT / "workflow_scripts/conceptdepth" / package).glob("[a-z]*.py"))
    return "\n\n".join(f"::: conceptdepth.{package}.{name}" for name in names)


def library() -> None:
    """Find the library of this repository, and no other."""
    if (folder := str(ROOT / "workflow_scripts")) not in sys.path:
        sys.path.insert(0, folder)
