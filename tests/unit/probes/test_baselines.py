"""Baselines see words and nothing else, and learn them from the training part alone."""

import numpy as np
import pytest
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
    told = [f"word{i % 7} {'good ' * 5 if label else 'bad'}" for i, label in enumerate(LABELS)]
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
