"""Datasets that are pure, seeded code: no download, no licence, no surface cue.

A generator takes keyword arguments from the registry and returns rows of ``id``, ``text``, ``label`` (the
raw value that the registry maps to a class) and ``group``, perhaps of ``span``, a part of the text.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]

NAMES = (
    "Adam Alan Alex Amy Andy Ann Anna Ben Bill Bob Carl Chris Dan Dave David Emma Eric Eva Frank Fred George Harry "
    "Henry Ian Jack James Jane Jim Joe John Kate Ken Kim Laura Lisa Lucy Maria Mark Mary Max Mike Nancy Nick Paul "
    "Peter Rob Rose Ruth Sam Sara Steve Ted Tim Tom Tony Will"
).split()
"""Short given names, so common that most tokenizers have a token for each."""


FLIPS = ("flips it", "turns it over", "flips the coin")
LEAVES = ("leaves it", "does not flip it", "waits")
"""Ways to say that somebody flips a coin, and that somebody does not."""


def coin_flips(*, groups: int, people: int, seed: int) -> Iterator[Row]:
    """Ask whether a coin is still heads up after each of some people flips it or does not.

    Each group is one draw of names and wordings that goes through all ``2**people`` patterns of flips, so that
    label, names and every single person's deed are independent: only the parity tells. The task is that of Wei
    et al. 2022 (arXiv 2201.11903). Wordings differ between groups because with one wording the deeds stand at
    the same places in every text, and a probe that has seen all patterns looks them up: on SmolLM2 it reached
    0.8, but 0.2 to 0.3 on patterns held out. The span is the last person's deed, a sentence, with which the answer is
    settled.
    """
    draw = random.Random(seed)
    for group in range(groups):
        names = draw.sample(NAMES, people)
        wordings = [(draw.choice(LEAVES), draw.choice(FLIPS)) for _ in names]
        for number, flips in enumerate(itertools.product((True, False), repeat=people)):
            deeds = [f"{name} {wording[flip]}." for name, wording, flip in zip(names, wordings, flips)]
            yield {
                "id": f"{group}-{number}",
                "text": " ".join(["A coin is heads up.", *deeds]),
                "label": "yes" if sum(flips) % 2 == 0 else "no",
                "group": str(group),
                "span": deeds[-1],
            }


def transitive_order(*, groups: int, people: int, seed: int) -> Iterator[Row]:
    """Ask who of two people is faster, given a shuffled chain of comparisons in both directions.

    Each group is one set of premises with a question about one pair, asked in both directions: the two
    statements differ in the order of two names alone, and one of them is true. The span is the question.
    """
    draw = random.Random(seed)
    for group in range(groups):
        order = draw.sample(NAMES, people)
        premises = [
            f"{fast} is faster than {slow}." if draw.random() < 0.5 else f"{slow} is slower than {fast}."
            for fast, slow in itertools.pairwise(order)
        ]
        draw.shuffle(premises)
        fast, slow = sorted(draw.sample(range(people), 2))
        pairs = [(order[fast], order[slow], "yes"), (order[slow], order[fast], "no")]
        for number, (first, second, label) in enumerate(pairs):
            question = f"Is {first} faster than {second}?"
            yield {
                "id": f"{group}-{number}",
                "text": " ".join([*premises, question]),
                "label": label,
                "group": str(group),
                "span": question,
            }


GENERATORS: dict[str, Callable[..., Iterator[Row]]] = {
    "coin_flips": coin_flips,
    "transitive_order": transitive_order,
}
"""Generators by the name that the registry uses."""

WITH_SPANS = frozenset({"coin_flips", "transitive_order"})
"""Those whose rows have a ``span``."""
