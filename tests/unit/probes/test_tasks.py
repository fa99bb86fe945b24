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


def test_a_control_task_has_one_label_a_group_one_statement_to_train_on_and_one_to_test(labels, groups):
    task = control_task(labels, groups, seed=5)
    several = [group for group in set(groups) if (groups == group).sum() > 1]
    assert sorted(groups[task.train]) == sorted(groups[task.test]) == sorted(several)
    assert not set(task.train) & set(task.test)
    of_group = {group: set(task.labels[groups == group].tolist()) for group in several}
    assert all(len(found) == 1 for found in of_group.values())
    assert abs(sum(map(max, of_group.values())) - labels.mean() * len(several)) < 1
    other = control_task(labels, groups, seed=6)
    assert other.labels.tolist() != task.labels.tolist()


def test_control_labels_do_not_go_with_the_concept_in_training(labels, groups):
    for seed in range(20):
        task = control_task(labels, groups, seed=seed)
        for label in (0, 1):
            of_class = task.labels[task.train[labels[task.train] == label]]
            assert abs(of_class.sum() - labels.mean() * len(of_class)) <= 2


def test_either_class_of_a_control_task_has_a_group():
    groups = np.array(["a", "a", "b", "b", "c"], dtype=object)
    labels = np.array([0, 0, 0, 1, 0], dtype=np.int8)
    for seed in range(50):
        task = control_task(labels, groups, seed=seed)
        assert set(task.labels[task.train].tolist()) == {0, 1}


def test_who_reads_the_concept_of_opposite_partners_is_right_about_half_of_the_control_task():
    """Where control labels went with the concept of the trained partner, the tested one, its opposite, was told wrong."""
    groups = np.repeat(np.arange(60), 2).astype(str).astype(object)
    labels = np.tile([0, 1], 60).astype(np.int8)
    features = np.column_stack([labels, np.random.default_rng(0).normal(size=(120, 2))])
    tasks = [control_task(labels, groups, seed=seed) for seed in range(60)]
    assert np.mean(accuracies(features, tasks)) == pytest.approx(0.5, abs=0.02)


def test_the_size_of_groups_makes_a_control_task_no_easier():
    """As many groups of 2 and of 20 statements, which share half of their noise, are told apart as well."""
    found = []
    for size in (2, 20):
        draw = np.random.default_rng(1)
        groups = np.repeat(np.arange(60), size).astype(str).astype(object)
        labels = (draw.random(60 * size) < 0.5).astype(np.int8)
        features = np.repeat(draw.normal(size=(60, 20)), size, axis=0) + 0.7 * draw.normal(size=(60 * size, 20))
        found.append(np.mean(accuracies(features, [control_task(labels, groups, seed=seed) for seed in range(40)])))
    assert found[0] == pytest.approx(found[1], abs=0.03)
    assert found[0] > 0.6


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
