"""The checks of a dataset: each looks at it and tells a number, and in words what it says."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline

from conceptdepth.datasets.ends import first_characters, last_characters
from conceptdepth.datasets.groups import group_numbers
from conceptdepth.datasets.statements import Statement
from conceptdepth.datasets.words import WORD

NEAR = 0.9
"""Cosine of the TF-IDF vectors of two texts from which they count as nearly the same."""

SEED = 0
"""Seed of what is drawn here."""

FOLDS = 5
"""Folds of the classifier that tells first rows from the others."""

Texts = NDArray[np.object_]
"""Texts, shape (n_statements,)."""

Split = tuple[int, NDArray[np.int64], NDArray[np.int64]]
"""Seed, training and test statements."""


@dataclass(frozen=True)
class Data:
    """A dataset as it is probed."""

    texts: Texts
    """As statements have them; arrays have the shape (n_statements,)."""
    prompts: Sequence[Texts]
    """What models read of all statements, under each perturbation."""
    labels: NDArray[np.int8]
    groups: NDArray[np.object_]
    splits: Sequence[Split]
    """Training and test parts, as `conceptdepth.probes.splits.splits_of` gives them."""
    accuracy: Callable[[str, Texts], float]
    """Balanced accuracy on them of a baseline that sees these texts: `held_out_accuracy` of probes/baselines.py."""
    left_out: Sequence[Statement]
    """Statements that ``max_per_class`` cuts off."""
    answers: Sequence[str]
    """What a model would answer for class 0 and for class 1."""
    dropped: Sequence[Statement] | None = None
    """Statements with prompts that are too long for a model; None if such prompts are refused."""


Check = tuple[str, float, str]
"""Name, value, and what it says."""


def _balance(data: Data) -> Iterator[Check]:
    sizes = np.bincount(data.labels, minlength=2)
    yield "larger_class", sizes.max() / sizes.sum(), f"classes have {sizes[0]} and {sizes[1]} statements"


def _repeated(data: Data) -> Iterator[Check]:
    _, place, count = np.unique(_plain(data.texts), return_inverse=True, return_counts=True)
    repeated = count[place] > 1
    ones = np.bincount(place, weights=data.labels)
    contradictory = (ones > 0)[place] & (ones < count)[place]
    yield "repeated_texts", repeated.mean(), f"{repeated.sum()} statements have a text that stands more than once"
    yield (
        "contradictory_texts",
        contradictory.mean(),
        f"{contradictory.sum()} statements have a text that has both labels",
    )


def _plain(texts: NDArray[np.object_]) -> NDArray[np.str_]:
    return np.array([" ".join(text.casefold().split()) for text in texts])


def _grouped(data: Data) -> Iterator[Check]:
    numbers = group_numbers(data.groups)
    size, ones = np.bincount(numbers), np.bincount(numbers, weights=data.labels)
    both = ((ones > 0) & (ones < size))[numbers]
    shared = (size > 1).sum()
    yield "groups", float(len(size)), f"{len(size)} groups, {shared} of them of two or more statements"
    yield "opposites", both.mean(), f"{both.sum()} statements are in a group with both labels"


def _partners(data: Data) -> Iterator[Check]:
    numbers = group_numbers(data.groups)
    with_partner, with_opposite = [], []
    for _, train, test in data.splits:
        with_partner.append(np.isin(numbers[test], numbers[train]).mean())
        pairs = 2 * numbers + data.labels
        with_opposite.append(np.isin(pairs[test] ^ 1, pairs[train]).mean())
    said = f"{np.mean(with_partner):.0%} of test statements have a statement of their group in training, "
    said += f"{np.mean(with_opposite):.0%} one of the other label"
    yield "partner_in_training", float(np.mean(with_partner)), said


def _near_duplicates(data: Data) -> Iterator[Check]:
    vectors = TfidfVectorizer(token_pattern=WORD).fit_transform(data.texts)
    _, train, test = data.splits[0]  # One split will do: neighbours of tens of thousands of texts take long.
    nearest = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(vectors[train])
    distance, _ = nearest.kneighbors(vectors[test])
    share = float((1 - distance[:, 0] >= NEAR).mean())
    yield "near_duplicate_in_training", share, f"{share:.0%} of test texts are nearly the same as one in training"


def _length(data: Data) -> Iterator[Check]:
    auc = roc_auc_score(data.labels, [len(text.split()) for text in data.texts])
    longer = data.answers[int(auc > 0.5)]
    yield (
        "text_length",
        max(auc, 1 - auc),
        f"the number of words tells the label with an AUC of {max(auc, 1 - auc):.2f} ({longer!r} is longer)",
    )


def _words(data: Data) -> Iterator[Check]:
    value = data.accuracy("bag_of_words", data.texts)
    yield "bag_of_words", value, f"words alone reach a balanced accuracy of {value:.2f}"


def _ends(data: Data) -> Iterator[Check]:
    start, end = (data.accuracy(name, data.texts) for name in ("first_characters", "last_characters"))
    yield "text_start", start, _said(data, "the starts of texts", start, data.texts, first_characters)
    yield "text_end", end, _said(data, "the ends of texts", end, data.texts, last_characters)
    # What is put before a text seldom changes its end, which then is judged once.
    judged = {_all_ends(data.texts): (end, data.texts)}
    for prompts in data.prompts:
        if (ends := _all_ends(prompts)) not in judged:
            judged[ends] = (data.accuracy("last_characters", prompts), prompts)
    value, prompts = max((judged[_all_ends(prompts)] for prompts in data.prompts), key=lambda one: abs(one[0] - 0.5))
    said = _said(data, "the ends of prompts, which probes read,", value, prompts, last_characters)
    yield "prompt_end", value, said


def _all_ends(texts: Texts) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(last_characters(text)) for text in texts)


def _said(data: Data, what: str, value: float, texts: Texts, strings: Callable[[str], list[str]]) -> str:
    """Say how well the ends of texts tell the label, and which of them differs most between the classes."""
    zeros, ones = (Counter(chain.from_iterable(map(strings, texts[data.labels == label]))) for label in (0, 1))
    sizes = np.bincount(data.labels, minlength=2)
    shares = {string: np.array([zeros[string], ones[string]]) / sizes for string in zeros | ones}
    most = max(shares, key=lambda string: (abs(np.diff(shares[string]).item()), -len(string)))
    said = " and ".join(f"{share:.0%} of {answer!r}" for share, answer in zip(shares[most], data.answers))
    return f"{what} reach a balanced accuracy of {value:.2f}; most unequal is {most!r}, in {said}"


def _first_rows(data: Data) -> Iterator[Check]:
    """Tell kept texts from those that the cap cuts off (a classifier two-sample test; Lopez-Paz and Oquab 2017).

    Groups stay whole: of two partners one would tell on which side the other is not.
    """
    draw = np.random.default_rng(SEED)
    texts: list[str] = []
    groups: list[str] = []
    is_left_out: list[int] = []
    for label in (0, 1):  # The classes are balanced on both sides; otherwise the classifier would tell the label.
        own = data.labels == label
        kept = list(zip(data.texts[own].tolist(), data.groups[own].tolist()))
        others = [(statement["text"], statement["group"]) for statement in data.left_out if statement["label"] == label]
        n = min(len(kept), len(others))
        for side, pool in enumerate((kept, others)):
            for index in draw.permutation(len(pool))[:n]:
                texts.append(pool[index][0])
                groups.append(pool[index][1])
                is_left_out.append(side)
    if not texts:
        yield "first_rows", np.nan, "no cap leaves statements out"
        return
    of_sides = [{group for group, out in zip(groups, is_left_out) if out == side} for side in (0, 1)]
    if min(map(len, of_sides)) < 2 * FOLDS:
        yield "first_rows", np.nan, "too few groups on one side of the cap to tell it from the other"
        return
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    model = make_pipeline(TfidfVectorizer(token_pattern=WORD), LogisticRegression())
    told = cross_val_predict(model, texts, is_left_out, groups=groups, cv=folds, method="decision_function")
    auc = roc_auc_score(is_left_out, told)
    said = f"words tell the first rows from the {len(data.left_out)} that the cap leaves out with an AUC of {auc:.2f}"
    yield "first_rows", float(auc), said


def _answers(data: Data) -> Iterator[Check]:
    has = np.array([
        [re.search(rf"\b{re.escape(answer)}\b", text, re.IGNORECASE) is not None for answer in data.answers]
        for text in data.texts
    ])  # fmt: skip
    rows = np.arange(len(data.labels))
    own, other = has[rows, data.labels].mean(), has[rows, 1 - data.labels].mean()
    yield (
        "answer_in_text",
        max(0.0, own - other),
        f"{own:.0%} of texts have the word of their own class in them, {other:.0%} that of the other",
    )


def _dropped(data: Data) -> Iterator[Check]:
    if data.dropped is None:
        return
    n, total = len(data.dropped), len(data.dropped) + len(data.texts)
    ones = sum(statement["label"] for statement in data.dropped)
    said = f"{n} of {total} statements are left out as too long for a model"
    yield "dropped_too_long", n / total, said + (f": {n - ones} of class 0 and {ones} of class 1" if n else "")


CHECKS = (
    _balance, _repeated, _grouped, _partners, _near_duplicates, _length, _words, _ends, _first_rows, _answers, _dropped,
)  # fmt: skip
"""In the order of their rows."""
