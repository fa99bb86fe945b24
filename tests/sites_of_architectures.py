"""Write the table of docs/models.md that says which sites the architectures of the tests have.

``PYTHONPATH=workflow_scripts .venv/bin/python tests/sites_of_architectures.py`` writes it into the page.
"""

import re
from collections import defaultdict
from pathlib import Path

from architectures import CLASSES, WRAPPERS, model_of
from conceptdepth.models.places import why_absent
from conceptdepth.models.sites import SITES, decoder_of

PAGE = Path(__file__).parents[1] / "docs/models.md"

BEGINS = "| class of the tests | architectures | of these with "
"""How the table's first line begins."""

COLUMNS = ("mlp_input", "attention_output", "residual_mid", "mlp_output")


def section() -> str:
    """Return the table: for each class how many of its architectures have each site, and those that differ."""
    lines = [
        BEGINS + " | ".join(f"`{site}`" for site in COLUMNS) + " |",
        "|" + " --- |" * (2 + len(COLUMNS)),
    ]
    for kind, names in {**CLASSES, "wrapper of text and images": WRAPPERS}.items():
        having: dict[str, list[str]] = defaultdict(list)
        for name in names:
            body = decoder_of(model_of(name), name)
            absent = why_absent(body, SITES, [3, 4, 5, 6], name)
            for site in SITES:
                if site not in absent:
                    having[site].append(name)
        counts = [_count(having[site], names) for site in COLUMNS]
        lines.append(f"| {kind} | {len(names)} | " + " | ".join(counts) + " |")
    return "\n".join(lines)


def _count(having: list[str], names: tuple[str, ...]) -> str:
    lacking = [name for name in names if name not in having]
    ticked = ", ".join(f"`{name}`" for name in lacking)
    return f"all but {ticked}" if having and lacking else ("all" if having else "none")


def written(page: str) -> str:
    """Return the page with the table of today."""
    return re.sub(re.escape(BEGINS) + r".*(\n\|.*)*", lambda _: section(), page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
