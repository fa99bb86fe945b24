"""The ends of a text as features: what the token there, which may be the probed one, could tell of its label.

No tokenizer is asked: a last token is a piece of a word, of punctuation or of space, perhaps with the character before
it, and what it tells is told by these strings.
"""

import re

_PIECE = re.compile(r"(\w+|\s+|[^\w\s]+)(.?)", re.DOTALL)
"""A word, spaces or punctuation, and the character that follows."""


def first_characters(text: str) -> list[str]:
    """Return the strings with which a text begins, each once: those of 1, 2 and 3 characters, and its first piece.

    A piece is a word, spaces or punctuation; it is given with the character that follows it, too.
    """
    strings = [text[:1], text[:2], text[:3]]
    if piece := _PIECE.match(text):
        strings += [piece[1], piece[0]]
    return list(dict.fromkeys(strings))


def last_characters(text: str) -> list[str]:
    """Return the strings with which a text ends, as `first_characters` those with which it begins."""
    return [string[::-1] for string in first_characters(text[::-1])]
