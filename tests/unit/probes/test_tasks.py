"""Controls are what they are said to be: labels in another order, and a task that only memory can solve."""

from dataclasses import replace

import numpy as np
import pytest
from conceptdepth.probes.estimators import ProbeSettings
from conceptdepth.probes.splits import SplitSettings, splits_of
from conceptdepth.probes.tasks import CONTROLS, control_task, has_control_task, shuffled, tasks_of
from conceptdepth.probes.training import train_layer

SPLITTING = SplitSettings(split="stratified", test_share=0.4, seeds=[1, 2, 3])


@pytest.fixture(scope="module")
def groups():
    """40 groups of 2, 3 or 12 statements and 10 statements alone."""
    sizes = [2] * 20 + [3] * 10 + [12] * 10 + [1] * 10
    return np.repeat(np.arange(len(sizes)), sizes).astype(str).astype(object)


@pytest.fixture(scope="module")
def labels(groups):
    return (np.random.default_rng(0).random(len(groups)) < 0.4).astype(np.int8)


def one_hot(groups):
    return (groups[:, np.newaxis] == np.unique(groups.astype(str))).astype(np.float32)


def accuracies(features, tasks, **settings):
    settings = {"C": 10.0, "max_iter": 1000} | settings
    probe = ProbeSettings(split="stratified", test_share=0.4, seeds=[1], **settings)
    return [probe.scores["accuracy"] for probe in train_layer(features, tasks, probe)]


def test_each_split_has_the_concept_and_then_its_controls(labels, groups):
    tasks = list(tasks_of(labels, groups, splits_of(labels, groups, SPLITTING), controls=CONTROLS, choose=True))
    assert [(task.seed, task.target) for task in tasks] == [
        (seed, target) for seed in (1, 2, 3) for target in ("concept", "shuffled_labels", "control_task")
    ]
    assert [len(task.folds) for task in tasks] == [5, 0, 0] * 3
    concept, mixed, _ = tasks[:3]
    assert concept.labels is labels
    assert (mixed.train is concept.train, mixed.test is concept.test) == (True, True)


def test_without_controls_and_choice_there_is_the_concept_alone(labels, groups):
    splits = list(splits_of(labels, groups, SPLITTING))
    tasks = list(tasks_of(labels, groups, splits, controls=[], choose=False))
    assert [(task.target, task.folds) for task in tasks] == [("concept", [])] * 3


def test_shuffled_labels_keep_the_classes_of_each_part_and_differ_between_seeds(labels):
    parts = np.arange(100), np.arange(100, len(labels))
    first, again, other = (shuffled(labels, parts, seed) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    for mixed in (first, other):
        assert mixed.tolist() != labels.tolist()
        assert [mixed[part].sum() for part in parts] == [labels[part].sum() for part in parts]
        assert abs(np.corrcoef(mixed, labels)[0, 1]) < 0.2


def test_shuffled_labels_cannot_be_learnt_even_from_the_labels_themselves(labels, groups):
    features = labels[:, np.newaxis] + np.random.default_rng(0).normal(size=(len(labels), 4)) / 10
    settings = SplitSettings(split="stratified", test_share=0.4, seeds=list(range(8)))
    splits = splits_of(labels, groups, settings)
    tasks = list(tasks_of(labels, groups, splits, controls=["shuffled_labels"], choose=False))
    found = np.reshape(accuracies(features, tasks), (-1, 2))
    assert found[:, 0].mean() > 0.99
    assert abs(found[:, 1].mean() - (1 - labels.mean())) < 0.05


def test_a_control_task_has_one_label_a_group_and_every_group_on_both_sides(labels, groups):
    task = control_task(labels, groups, seed=5)
    several = [group for group in set(groups) if (groups == group).sum() > 1]
    assert set(groups[task.train]) == set(groups[task.test]) == set(several)
    assert not set(task.train) & set(task.test)
    assert len(task.train) + len(task.test) == np.isin(groups, several).sum()
    of_group = {group: set(task.labels[groups == group].tolist()) for group in several}
    assert all(len(found) == 1 for found in of_group.values())
    assert sum(map(max, of_group.values())) == round(labels.mean() * len(several))
    sizes = {group: ((groups[task.train] == group).sum(), (groups[task.test] == group).sum()) for group in several}
    assert set(sizes.values()) == {(1, 1), (2, 1), (7, 5)}
    other = control_task(labels, groups, seed=6)
    assert other.labels.tolist() != task.labels.tolist()


def test_a_control_task_is_solved_by_who_knows_the_group_and_by_nobody_else(labels, groups):
    """And on a split of whole groups not even by them, which is why the task has its own."""
    tasks = [control_task(labels, groups, seed=seed) for seed in range(6)]
    assert min(accuracies(one_hot(groups), tasks)) == 1.0
    blind = np.random.default_rng(0).normal(size=(len(groups), 4))
    chance = np.mean([max(task.labels[task.test].mean(), 1 - task.labels[task.test].mean()) for task in tasks])
    assert np.mean(accuracies(blind, tasks)) < chance + 0.05
    whole = [
        replace(task, train=train, test=test)
        for task, (_, train, test) in zip(tasks, splits_of(labels, groups, replace(SPLITTING, seeds=range(6))))
    ]
    chance = np.mean([1 - task.labels[task.test].mean() for task in whole])
    assert np.mean(accuracies(one_hot(groups), whole)) < chance + 0.05


def test_without_repeated_groups_there_is_no_control_task(labels):
    alone = np.arange(len(labels)).astype(str).astype(object)
    assert not has_control_task(alone)
    splits = list(splits_of(labels, alone, SPLITTING))
    tasks = list(tasks_of(labels, alone, splits, controls=CONTROLS, choose=False))
    assert [task.target for task in tasks] == ["concept", "shuffled_labels"] * 3


def test_controls_take_the_c_that_was_chosen_for_the_concept(labels, groups):
    features = labels[:, np.newaxis] + np.random.default_rng(0).normal(size=(len(labels), 4))
    tasks = list(tasks_of(labels, groups, splits_of(labels, groups, SPLITTING), controls=CONTROLS, choose=True))
    choices = [0.00001, 0.001, 0.1]
    settings = ProbeSettings(
        split="stratified", test_share=0.4, seeds=[1, 2, 3], C=choices, max_iter=100, kinds=["ridge", "mass_mean", "logistic_regression"]
    )  # fmt: skip
    found = {(p.kind, p.task.seed, p.task.target): p.scores["C"] for p in train_layer(features, tasks, settings)}
    for (kind, seed, _), value in found.items():
        assert np.isnan(value) if kind == "mass_mean" else value == found[kind, seed, "concept"]
    assert found["logistic_regression", 1, "concept"] == pytest.approx(0.1)
