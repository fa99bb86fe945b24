"""What is wrong with a dataset before any model reads it: labels that can be told without knowing the concept.

Each check is a number with a limit of the config section ``data_audit``; one that is beyond its limit is a warning.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline

from conceptdepth.datasets.groups import group_numbers
from conceptdepth.datasets.statements import Statement
from conceptdepth.datasets.words import WORD
from conceptdepth.ground.errors import UserError

NEAR = 0.9
"""Cosine of the TF-IDF vectors of two texts from which they count as nearly the same."""

SEED = 0
"""Seed of what is drawn here."""

FOLDS = 5
"""Folds of the classifier that tells first rows from the others."""


Split = tuple[int, NDArray[np.int64], NDArray[np.int64]]
"""Seed, training and test statements."""


@dataclass(frozen=True)
class Finding:
    """One check of a dataset."""

    check: str
    """A name from `LIMITED` or `FACTS`."""
    value: float
    """What was found; NaN if there was nothing to check."""
    limit: float
    """What is allowed, NaN for a fact."""
    verdict: str
    """``ok``, ``warning`` or ``fact``."""
    finding: str
    """In words."""


@dataclass(frozen=True)
class Data:
    """A dataset as it is probed."""

    texts: NDArray[np.object_]
    """Shape (n_statements,), as all that follows."""
    labels: NDArray[np.int8]
    groups: NDArray[np.object_]
    splits: Sequence[Split]
    """Training and test parts, as `conceptdepth.probes.splits.splits_of` gives them."""
    words_alone: float
    """Balanced accuracy of a bag of words on them, see `conceptdepth.probes.baselines.words_alone`."""
    left_out: Sequence[Statement]
    """Statements that ``max_per_class`` cuts off."""
    answers: Sequence[str]
    """What a model would answer for class 0 and for class 1."""
    dropped: Sequence[Statement] | None = None
    """Statements with prompts that are too long for a model; None if such prompts are refused."""


LIMITED = (
    "larger_class",
    "repeated_texts",
    "contradictory_texts",
    "partner_in_training",
    "near_duplicate_in_training",
    "text_length",
    "bag_of_words",
    "first_rows",
    "answer_in_text",
    "dropped_too_long",
)
"""Checks with a limit; the last is made only where too long prompts are dropped."""

FACTS = ("groups", "opposites")
"""What is told without judging it."""

Check = tuple[str, float, str]
"""Name, value, and what it says."""


def audit_data(data: Data, limits: Mapping[str, float]) -> Iterator[Finding]:
    """Yield what each check finds. ``limits`` are by the names of `LIMITED`."""
    for checks in CHECKS:
        for name, value, said in checks(data):
            limit = limits.get(name, np.nan)
            verdict = "fact" if name in FACTS else "warning" if _beyond(name, value, limit) else "ok"
            yield Finding(name, value, limit, verdict, said)


def _beyond(name: str, value: float, limit: float) -> bool:
    """Tell whether a value is beyond its limit; words that do worse than chance, as partners make them, are too."""
    return value > limit + 1e-9 or (name == "bag_of_words" and value < 1 - limit - 1e-9)


def problems(name: str, findings: Sequence[Finding]) -> UserError:
    """Return the error that ends a run whose policy is to stop."""
    warnings = "; ".join(finding.finding for finding in findings if finding.verdict == "warning")
    return UserError(
        f"datasets.{name}: {warnings}. Change the dataset or the split, raise `data_audit.limits`, or set "
        "`data_audit.policy` to warn."
    )


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
    yield "bag_of_words", data.words_alone, f"words alone reach a balanced accuracy of {data.words_alone:.2f}"


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
    _balance, _repeated, _grouped, _partners, _near_duplicates, _length, _words, _first_rows, _answers, _dropped,
)  # fmt: skip
"""In the order of their rows."""
