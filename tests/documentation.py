"""What the pages of the documentation have in them: links, places that can be linked to, and commands."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

TYPED = r"make|snakemake|conceptdepth|python3?|pip|git|tmux|sinfo|touch|export|pytest|docker|podman|apptainer|lm_eval|CUDA_VISIBLE_DEVICES=\S+|wait;|\$EDITOR|\."
"""What a line of a block begins with if it is a command; a path before the program does not count."""


def blocks(text: str) -> Iterator[list[str]]:
    """Yield the lines of each block of code, indented by four or in fences, without what indents them all."""
    block: list[str] = []
    fenced = False
    for line in [*text.splitlines(), "The end"]:
        if line.strip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    ") or (block and not line.strip()):
            block.append(line if fenced else line[4:])
            continue
        if any(map(str.strip, block)):
            yield [row.rstrip() for row in block]
        block = []


def commands(text: str) -> list[str]:
    """Return the commands of a page's blocks as they are typed, without prompts and comments."""
    found = []
    for line in (line for block in blocks(text) for line in block):
        typed = re.sub(r"\s+#.*| &$", "", line.removeprefix("$ "))
        if re.match(rf"(?:\w+=\S+ )*(?:\.venv/bin/)?(?:{TYPED})(?: |$)", typed) and not re.match(
            r"\w+ = |\w+: ", typed
        ):
            found.append(typed.strip())
    return found


def block_of(page: str, first: str) -> str:
    """Return the block of a page that begins with a line."""
    found = [block for block in blocks((ROOT / page).read_text()) if block[0] == first]
    assert len(found) == 1, f"{page} has {len(found)} blocks that begin with {first!r}"
    return "\n".join(found[0]).rstrip() + "\n"


def anchor(heading: str) -> str:
    """Return what a heading is linked by, in the repository and in the site."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")


def sections(page: Path) -> dict[str, str]:
    """Return what stands under each heading of a page, by what it is linked by; the whole page by the empty word."""
    text = page.read_text()
    parts = re.split(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {"": text} | {anchor(heading): body for heading, body in zip(parts[1::2], parts[2::2])}


def links(page: Path) -> set[Path]:
    """Return the pages of the repository that a page has links to."""
    targets = re.findall(r"\]\(([^)\s#]+\.md)(?:#[^)]*)?\)", page.read_text())
    return {(page.parent / target).resolve() for target in targets if not re.match(r"\w+:", target)}
