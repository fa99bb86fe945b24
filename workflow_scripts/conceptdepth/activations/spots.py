"""Spots: a site at a position, named as in the activation file, such as ``residual/text_mean``."""

from collections.abc import Iterable

from conceptdepth.ground.names import LAST


def spot(site: str, position: str) -> str:
    """Return the name of a site at a position."""
    return f"{site}/{position}"


def by_site(spots: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return by site and position what each spot is called; a site alone is read at the last token."""
    found: dict[str, dict[str, str]] = {}
    for name in spots:
        site, _, position = name.partition("/")
        found.setdefault(site, {})[position or LAST] = name
    return found
