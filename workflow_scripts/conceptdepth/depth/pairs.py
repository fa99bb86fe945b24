"""Cells, or curves, that differ in one thing alone."""

from collections.abc import Mapping, Sequence


def pairs(names: Sequence[Mapping[str, str]], column: str, first: str) -> list[tuple[int, int]]:
    """Return index pairs into ``names`` that differ in one column alone, where the first of each pair has ``first``.

    All of ``names`` have the same columns, and no two are equal. Pairs are in the order of their second index.
    """
    places = {frozenset(own.items()): place for place, own in enumerate(names)}
    partners = [places.get(frozenset((dict(own) | {column: first}).items())) for own in names]
    return [(found, place) for place, found in enumerate(partners) if found is not None and found != place]
