"""Generated datasets are right, balanced and without surface cues."""

import re

import numpy as np
import pytest
from conceptdepth.datasets.generators import FLIPS, GENERATORS, LEAVES, NAMES, WITH_SPANS, coin_flips, transitive_order
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

OPTIONS = {"groups": 60, "people": 4, "seed": 0}


def flips_in(text: str) -> tuple[bool, ...]:
    """Read the pattern of flips off a text."""
    first, *deeds = text.removesuffix(".").split(". ")
    assert first == "A coin is heads up"
    said = [deed.split(" ", 1)[1] for deed in deeds]
    assert set(said) <= {*FLIPS, *LEAVES}
    return tuple(deed in FLIPS for deed in said)


def test_the_coin_is_heads_up_after_an_even_number_of_flips():
    for row in coin_flips(**OPTIONS):
        assert row["label"] == ("yes" if sum(flips_in(row["text"])) % 2 == 0 else "no")


def test_every_group_of_coin_flips_goes_through_all_patterns():
    rows = [row for row in coin_flips(**OPTIONS) if row["group"] == "0"]
    assert len(rows) == len({flips_in(row["text"]) for row in rows}) == 16


def test_transitive_order_agrees_with_a_solver():
    for row in transitive_order(**OPTIONS):
        *premises, question = row["text"].split(". ")
        faster = {}
        for first, relation, second in (re.match(r"(\w+) is (\w+) than (\w+)", p).groups() for p in premises):
            fast, slow = (first, second) if relation == "faster" else (second, first)
            faster.setdefault(fast, set()).add(slow)
        first, second = re.match(r"Is (\w+) faster than (\w+)\?", question).groups()
        reached, waiting = set(), [first]
        while waiting:
            reached |= (new := faster.get(waiting.pop(), set()))
            waiting += new
        assert row["label"] == ("yes" if second in reached else "no")


@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS.keys())
def test_generators_are_balanced_seeded_and_have_unique_ids(generator):
    rows = list(generator(**OPTIONS))
    labels = [row["label"] for row in rows]
    assert labels.count("yes") == labels.count("no")
    assert len({row["id"] for row in rows}) == len(rows)
    assert rows == list(generator(**OPTIONS))
    assert rows != list(generator(**OPTIONS | {"seed": 1}))


@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS.keys())
def test_words_and_pairs_of_words_do_not_tell_the_label(generator):
    rows = list(generator(**OPTIONS))
    texts, labels = [row["text"] for row in rows], np.array([row["label"] for row in rows])
    bag = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression())
    folds = GroupKFold(5, shuffle=True, random_state=0)
    accuracy = cross_val_score(bag, texts, labels, groups=[row["group"] for row in rows], cv=folds).mean()
    assert abs(accuracy - 0.5) < 4 * np.sqrt(0.25 / len(rows))  # four standard errors


@pytest.mark.parametrize("generator", GENERATORS)
def test_generators_have_spans_where_they_say_so_and_each_stands_once_in_its_text(generator):
    rows = list(GENERATORS[generator](**OPTIONS))
    assert {"span" in row for row in rows} == {generator in WITH_SPANS}
    assert all(row["text"].count(row["span"]) == 1 for row in rows if "span" in row)


def test_no_name_ends_in_another():
    """So that the deed of one person is not found in another's."""
    assert not [(one, other) for one in NAMES for other in NAMES if one != other and one.endswith(other)]


def test_the_span_is_the_last_deed_or_the_question():
    for row in coin_flips(**OPTIONS):
        assert row["text"].endswith(f". {row['span']}")
        assert row["span"].count(".") == 1
    for row in transitive_order(**OPTIONS):
        assert row["text"].endswith(f". {row['span']}")
        assert re.fullmatch(r"Is \w+ faster than \w+\?", row["span"])
