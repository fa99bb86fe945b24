"""Baselines see words and nothing else, and learn them from the training part alone."""

import numpy as np
import pytest
from conceptdepth.datasets.ends import first_characters, last_characters
from conceptdepth.probes.baselines import FEATURES, classifier, lengths, train_baseline
from conceptdepth.probes.splits import SplitSettings, splits_of
from conceptdepth.probes.tasks import tasks_of
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression


def data(texts, labels):
    texts, labels = np.array(texts, dtype=object), np.array(labels, dtype=np.int8)
    groups = np.arange(len(texts)).astype(str).astype(object)
    settings = SplitSettings(split="stratified", test_share=0.4, seeds=[1, 2])
    splits = splits_of(labels, groups, settings)
    return texts, list(tasks_of(labels, groups, splits, controls=[], choose=True))


def accuracies(name, texts, labels):
    return [probe.scores["accuracy"] for probe in train_baseline(name, *data(texts, labels))]


LABELS = [0, 1] * 40


@pytest.mark.parametrize("name", FEATURES)
def test_each_finds_what_it_looks_at(name):
    told = [f"{label} word{i % 7} {'good ' * 5 if label else 'bad'}" for i, label in enumerate(LABELS)]
    assert accuracies(name, told, LABELS) == [1.0, 1.0]


@pytest.mark.parametrize("name", FEATURES)
def test_none_finds_what_is_not_there(name):
    draw = np.random.default_rng(0)
    random = [" ".join(draw.choice(list("abcdefgh"), 6)) for _ in range(400)]
    assert np.mean(accuracies(name, random, [0, 1] * 200)) == pytest.approx(0.5, abs=0.1)


def test_words_do_not_tell_their_order_but_pairs_of_words_do():
    texts = ["a before b" if label else "b before a" for label in LABELS]
    assert max(accuracies("bag_of_words", texts, LABELS)) <= 0.5
    assert accuracies("tf_idf", texts, LABELS) == [1.0, 1.0]


AT_THE_END = {
    "a space": lambda words, label: words + ". " * label,
    "a space where others have none": lambda words, label: f"{words}." + " " * (1 - label),
    "more spaces": lambda words, label: f"{words}." + " " * (5 + label),
    "another mark": lambda words, label: words + ".?"[label],
    "marks in another order": lambda words, label: words + ['."', '".'][label],
    "three dots for one": lambda words, label: words + [".", "..."][label],
    "a line break": lambda words, label: words + "\n" * label,
    "a space of another kind": lambda words, label: words + " \u00a0"[label],
    "a character that is not seen": lambda words, label: words + "\u200b" * label,
    "letters composed": lambda words, label: words + ["e\u0301", "\u00e9"][label],
    "a capital": lambda words, label: words + [" End", " end"][label],
    "a long word": lambda words, label: words + [" inconceivable", " conceivable"][label],
    "what joins the last word": lambda words, label: words + ["-", " "][label] + "something",
}
"""How an end gives a label away: what becomes of the words of a text."""


def some_words():
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice([f"w{i}" for i in range(100)], 4)) for _ in LABELS]


@pytest.mark.parametrize("leak", AT_THE_END)
def test_what_stands_at_the_end_is_found(leak):
    told = [AT_THE_END[leak](text, label) for text, label in zip(some_words(), LABELS)]
    assert accuracies("last_characters", told, LABELS) == [1.0, 1.0]


def test_what_stands_at_one_end_is_found_there_and_not_at_the_other():
    told = [text + ".?"[label] for text, label in zip(some_words(), LABELS)]
    mirrored = [text[::-1] for text in told]
    assert accuracies("first_characters", mirrored, LABELS) == [1.0, 1.0]
    assert max(*accuracies("first_characters", told, LABELS), *accuracies("last_characters", mirrored, LABELS)) < 0.9


def test_ends_of_an_endless_word_are_found_in_no_time():
    assert last_characters("a" * 1_000_000 + "!") == ["!", "a!", "aa!"]
    assert first_characters("") == last_characters("") == [""]


def test_decisions_are_those_of_scikit_learn_at_the_chosen_strength():
    draw = np.random.default_rng(1)
    texts, tasks = data(
        [" ".join(draw.choice(list("abcdefgh"), 6)) + (" x" if i % 2 else "") for i in range(80)], LABELS
    )
    probe, task = next(train_baseline("bag_of_words", texts, tasks)), tasks[0]
    words = CountVectorizer(binary=True, token_pattern=r"\w+").fit(texts[task.train])
    model = LogisticRegression(C=probe.scores["C"], max_iter=10_000, tol=1e-10)
    model.fit(words.transform(texts[task.train]), task.labels[task.train])
    np.testing.assert_allclose(probe.decision, model.decision_function(words.transform(texts[task.test])), rtol=1e-3)


def test_words_of_the_test_part_alone_are_not_known():
    texts, tasks = data([f"only{i} {'yes' if i % 2 else 'no'}" for i in range(80)], LABELS)
    fitted = classifier("tf_idf", tasks[0]).fit(texts[tasks[0].train], tasks[0].labels[tasks[0].train])
    known = " ".join(fitted[0].get_feature_names_out())
    assert not any(text.split()[0] in known.split() for text in texts[tasks[0].test])


def test_lengths_are_words_and_characters():
    np.testing.assert_array_equal(lengths(np.array(["a bc", "d"], dtype=object)), [[2, 4], [1, 1]])
