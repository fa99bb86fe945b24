"""Splits keep what they promise: the released code's, or groups whole, or groups whole and classes in proportion."""

import numpy as np
import pytest
from conceptdepth.ground.errors import UserError
from conceptdepth.probes.splits import FOLDS, SplitSettings, folds_of, split_statements, splits_of
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

N = 120


@pytest.fixture(scope="module")
def pairs():
    """Statements in pairs of opposite labels, with features."""
    labels = np.tile(np.array([0, 1], dtype=np.int8), N // 2)
    groups = np.repeat([f"g{i}" for i in range(N // 2)], 2).astype(object)
    return np.random.default_rng(0).normal(size=(N, 8)), labels, groups


@pytest.fixture(scope="module")
def uneven():
    """Groups of 1 to 9 statements of one class each, a quarter of them of class 1."""
    draw = np.random.default_rng(1)
    sizes = draw.integers(1, 10, size=80)
    groups = np.repeat(np.arange(80), sizes).astype(str).astype(object)
    return np.repeat((draw.random(80) < 0.25).astype(np.int8), sizes), groups


def test_reference_split_is_the_released_codes(pairs):
    """Class-0 statements first, then class-1, then train_test_split as the released code calls it."""
    features, labels, groups = pairs
    stacked = np.concatenate([features[labels == 0], features[labels == 1]])
    log = np.concatenate([np.zeros(N // 2), np.ones(N // 2)])
    x_train, x_test, y_train, y_test = train_test_split(stacked, log, test_size=0.4, random_state=42)
    train, test = split_statements(labels, groups, split="reference", test_share=0.4, seed=42)
    np.testing.assert_array_equal(features[train], x_train)
    np.testing.assert_array_equal(features[test], x_test)
    np.testing.assert_array_equal(labels[train], y_train)
    np.testing.assert_array_equal(labels[test], y_test)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("split", ["grouped", "stratified"])
def test_no_group_is_on_both_sides(pairs, split, seed):
    _, labels, groups = pairs
    train, test = split_statements(labels, groups, split=split, test_share=0.4, seed=seed)
    assert not set(groups[train]) & set(groups[test])
    assert sorted([*train, *test]) == list(range(N))
    assert len(test) == pytest.approx(0.4 * N, abs=2)


def test_reference_split_separates_pairs(pairs):
    """The leak that the grouped split exists for."""
    _, labels, groups = pairs
    train, test = split_statements(labels, groups, split="reference", test_share=0.4, seed=42)
    assert set(groups[train]) & set(groups[test])


@pytest.mark.parametrize("test_share", [0.25, 0.4])
def test_a_stratified_split_keeps_the_share_of_classes_and_of_statements(uneven, test_share):
    labels, groups = uneven

    def unlike(split):
        """Return by how much the shares of class 1 and of statements in the test part are off, over seeds."""
        tests = [split_statements(labels, groups, split=split, test_share=test_share, seed=s)[1] for s in range(10)]
        classes = [abs(labels[test].mean() - labels.mean()) for test in tests]
        return np.mean(classes), np.mean([abs(len(test) / len(labels) - test_share) for test in tests])

    (classes, statements), (unstratified, _) = unlike("stratified"), unlike("grouped")
    assert classes < 0.02 < unstratified
    assert statements < 0.03


def test_a_stratified_split_is_folds_of_scikit_learn(uneven):
    labels, groups = uneven
    train, test = split_statements(labels, groups, split="stratified", test_share=0.4, seed=3)
    numbers = np.unique(groups.astype(str), return_inverse=True)[1]
    folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=3).split(labels, labels, numbers))
    assert test.tolist() == sorted([*folds[0][1], *folds[1][1]])
    other = split_statements(labels, groups, split="stratified", test_share=0.4, seed=4)[1]
    assert set(other) != set(test)


@pytest.mark.parametrize(
    ("test_share", "groups", "message"),
    [(0.001, 40, r"probes.test_share: a stratified split can hold out 0.05 to 0.95"), (0.4, 4, "at least 5 groups")],
)
def test_a_stratified_split_that_is_not_possible_is_an_error(test_share, groups, message):
    labels = np.tile([0, 1], 40).astype(np.int8)
    names = (np.arange(80) % groups).astype(str).astype(object)
    with pytest.raises(UserError, match=message):
        split_statements(labels, names, split="stratified", test_share=test_share, seed=0)


def test_a_part_with_one_class_is_an_error():
    labels = np.array([0, 0, 0, 1], dtype=np.int8)
    settings = SplitSettings(split="reference", test_share=0.25, seeds=[42])
    with pytest.raises(UserError, match="holds one class only"):
        list(splits_of(labels, np.array(list("abcd"), dtype=object), settings))


def test_folds_keep_groups_whole_and_have_both_classes(uneven):
    labels, groups = uneven
    folds = folds_of(labels, groups, seed=0)
    assert len(folds) == FOLDS
    assert sorted(np.concatenate([validated for _, validated in folds])) == list(range(len(labels)))
    for fitted, validated in folds:
        assert not set(groups[fitted]) & set(groups[validated])
        assert sorted([*fitted, *validated]) == list(range(len(labels)))
        assert set(labels[validated]) == set(labels[fitted]) == {0, 1}


def test_few_groups_make_fewer_folds_and_too_few_an_error():
    labels = np.array([0, 0, 0, 1, 0, 1], dtype=np.int8)
    three = np.array(list("ababcc"), dtype=object)
    assert len(folds_of(labels, three, seed=0)) == 2
    with pytest.raises(UserError, match=r"probes.C: the training part of split 7 has too few groups"):
        folds_of(labels, np.array(list("aaabab"), dtype=object)[[0, 0, 0, 3, 0, 3]], seed=7)
