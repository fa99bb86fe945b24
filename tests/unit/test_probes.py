"""Probes agree with scikit-learn used by hand; splits keep what they promise."""

import numpy as np
import pytest
from conceptdepth.errors import UserError
from conceptdepth.probes import ProbeSettings, split_statements, splits_of, train_layer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import train_test_split

N = 120


@pytest.fixture(scope="module")
def cell():
    """Statements in pairs of opposite labels, with features that tell the labels but imperfectly."""
    draw = np.random.default_rng(0)
    labels = np.tile(np.array([0, 1], dtype=np.int8), N // 2)
    groups = np.repeat([f"g{i}" for i in range(N // 2)], 2).astype(object)
    features = draw.normal(size=(N, 8)).astype(np.float32)
    features[:, 0] += labels
    return features, labels, groups


def test_reference_split_is_the_released_codes(cell):
    """Class-0 statements first, then class-1, then train_test_split as the released code calls it."""
    features, labels, groups = cell
    stacked = np.concatenate([features[labels == 0], features[labels == 1]])
    log = np.concatenate([np.zeros(N // 2), np.ones(N // 2)])
    x_train, x_test, y_train, y_test = train_test_split(stacked, log, test_size=0.4, random_state=42)
    train, test = split_statements(labels, groups, split="reference", test_share=0.4, seed=42)
    np.testing.assert_array_equal(features[train], x_train)
    np.testing.assert_array_equal(features[test], x_test)
    np.testing.assert_array_equal(labels[train], y_train)
    np.testing.assert_array_equal(labels[test], y_test)


@pytest.mark.parametrize("seed", range(5))
def test_grouped_split_separates_no_group(cell, seed):
    _, labels, groups = cell
    train, test = split_statements(labels, groups, split="grouped", test_share=0.4, seed=seed)
    assert not set(groups[train]) & set(groups[test])
    assert sorted([*train, *test]) == list(range(N))
    assert len(test) == pytest.approx(0.4 * N, abs=2)


def test_reference_split_separates_pairs(cell):
    """The leak that the grouped split exists for."""
    _, labels, groups = cell
    train, test = split_statements(labels, groups, split="reference", test_share=0.4, seed=42)
    assert set(groups[train]) & set(groups[test])


def test_scores_are_scikit_learns(cell):
    features, labels, _ = cell
    train, test = np.arange(80), np.arange(80, N)
    probe = train_layer(features, labels, train, test, C=1.0, max_iter=100)
    model = LogisticRegression().fit(features[train], labels[train])
    assert probe.scores["accuracy"] == model.score(features[test], labels[test])
    assert probe.scores["f1"] == f1_score(labels[test], model.predict(features[test]))
    assert probe.scores["auc"] == roc_auc_score(labels[test], model.predict_proba(features[test])[:, 1])
    assert (probe.scores["n_train"], probe.scores["n_test"]) == (80, 40)
    assert probe.scores["converged"]
    np.testing.assert_array_equal(probe.coefficients, [*model.coef_[0], *model.intercept_])
    np.testing.assert_array_equal(probe.decision, model.decision_function(features[test]))


def test_a_probe_that_did_not_converge_says_so(cell):
    features, labels, _ = cell
    probe = train_layer(features * 1000, labels, np.arange(80), np.arange(80, N), C=1.0, max_iter=2)
    assert not probe.scores["converged"]
    assert probe.scores["iterations"] == 2


def test_majority_is_the_accuracy_of_always_naming_the_larger_class(cell):
    features, labels, _ = cell
    test = np.flatnonzero(labels == 1)[-9:].tolist() + np.flatnonzero(labels == 0)[-3:].tolist()
    probe = train_layer(features, labels, np.arange(80), np.array(test), C=1.0, max_iter=100)
    assert probe.scores["majority"] == 9 / 12


def test_a_part_with_one_class_is_an_error():
    labels = np.array([0, 0, 0, 1], dtype=np.int8)
    settings = ProbeSettings(split="reference", test_share=0.25, seeds=[42], C=1.0, max_iter=100)
    with pytest.raises(UserError, match="holds one class only"):
        list(splits_of(labels, np.array(list("abcd"), dtype=object), settings))
