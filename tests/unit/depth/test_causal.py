"""What changes along a concept do: found where it was planted, and statistics that agree with naive ones."""

from dataclasses import replace
from functools import cache

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from choose_interventions import Layer, changes_of, facts_of, leace
from concept_erasure import optimal_linear_shrinkage
from conceptdepth.activations.changes import Changes, read_changes, write_changes
from conceptdepth.activations.effects import Asked, Asking
from conceptdepth.activations.extraction import extract
from conceptdepth.activations.layouts import EqualLengths, Trees
from conceptdepth.depth.causal import find, first_and_last, interval_of_draws, mean_effects, p_values
from conceptdepth.depth.changed_answers import Effects
from conceptdepth.depth.interventions import (
    AGAINST,
    ALONG,
    ERASE,
    LEACE,
    SHUFFLED,
    Space,
    asked_statements,
    chosen_layers,
    completeness,
    erasing,
    projecting,
    stepping,
    with_controls,
)
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import CONCEPT
from conceptdepth.models.sites import decoder_of
from conceptdepth.probes.estimators import ProbeSettings
from conceptdepth.probes.tasks import Task
from conceptdepth.probes.training import train_probe
from planted_circuit import BEGIN, CUE, D_MODEL, N_LAYERS, NO, READS, TEXTS, WRITES, YES, circuit

PROBE = ProbeSettings(
    kinds=["mass_mean"], split="grouped", test_share=0.5, seeds=[0], C=1.0, max_iter=200, standardize=False, solver="newton",
    description_length=False,
)  # fmt: skip

SETTINGS = {"methods": [ERASE, LEACE, "add"], "deviations": 2.0, "seed": 0}

DRAWN = np.random.default_rng(0).normal(size=(20, D_MODEL))
"""What controls are made of."""

INTERVALS = {"draws": 200, "seed": 0, "level": 0.95}


@cache
def asking_of(product: int, whole: bool):
    """Return a model, what is changed in it, what it is asked of one of the two products, and their classes and groups."""
    model, labels = circuit()
    body, own = decoder_of(model, "tiny"), labels[product]
    prompts = [[BEGIN, 4 + text] for text in range(TEXTS)]
    vectors = np.empty((N_LAYERS, TEXTS, D_MODEL), np.float32)
    extract(body, prompts, into={"residual": vectors}, batch_tokens=1000, name="tiny")
    train, test = np.arange(0, TEXTS, 2), np.arange(1, TEXTS, 2)
    order = np.random.default_rng(1).permutation(TEXTS)
    task = Task(CONCEPT, 0, np.sort(order[train]), np.sort(order[test]), own, np.arange(TEXTS).astype(object))
    made = []
    for layer in vectors.astype(float):
        trained = train_probe(layer, task, "mass_mean", PROBE, [1.0])
        made.append([changes_of(Layer(layer, trained.coefficients, task), DRAWN, SETTINGS, PROBE, "mass_mean")])
    changes = Changes(
        **{key: np.array([[[getattr(each, key) for each in split] for split in of] for of in made], np.float32)
           for key in ("read", "write", "at")},
        layers=np.arange(N_LAYERS, dtype=np.int32),
        methods=[each.method for each in made[0][0]],
        directions=[each.direction for each in made[0][0]],
        statements=task.test.astype(np.int32),
        splits=np.zeros(len(task.test), np.int32),
        position="last",
    )  # fmt: skip
    asking = Asking(
        model, body, changes, [[NO], [YES]],
        batch_tokens=300, layout=EqualLengths() if whole else Trees(), name="tiny",
    )  # fmt: skip
    asked = [Asked([*prompts[index], CUE], np.array([1]), int(own[index]), 0) for index in task.test]
    return asking, changes, asked, own[task.test], task.groups[task.test]


@cache
def planted(product: int, whole: bool) -> Effects:
    """Return what is measured of one of the two products, by the code of the rules, without a tokenizer."""
    asking, changes, asked, labels, groups = asking_of(product, whole)
    answers = asking.ask(asked, [[BEGIN, CUE]])
    return Effects(
        {}, answers.log_odds, answers.mass, answers.changed_log_odds, answers.changed_mass, answers.divergence,
        labels, groups, changes.layers, np.array(changes.methods, object), np.array(changes.directions, object), groups,
    )  # fmt: skip


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("method", [ERASE, LEACE, AGAINST, ALONG])
def test_a_planted_concept_is_used_from_where_it_is_written_until_it_is_read(method, whole):
    effects = planted(0, whole)
    assert ((effects.log_odds > 0) == effects.labels).all()  # The model answers rightly.
    found = find(effects, method, N_LAYERS, WRITES, **INTERVALS)
    assert found.values["causal_onset"] == WRITES / N_LAYERS
    assert found.values["last_effect"] == (READS - 1) / N_LAYERS
    beyond = found.columns["effect"] - found.columns["effect_random"]
    assert found.values["effect_where_readable"] == pytest.approx(beyond[WRITES:].mean())
    assert found.values["effect_where_readable_low"] > 0
    used = np.arange(WRITES, READS)
    assert (found.columns["effect"][used] > found.columns["effect_random_high"][used]).all()
    assert (found.columns["effect_low"][used] > 0).all()
    np.testing.assert_array_equal(found.columns["effect"][READS:], 0)
    assert (found.columns["effect"][used] > np.abs(effects.log_odds).mean() / 2).all()  # Most of the evidence.


@pytest.mark.parametrize("method", [ERASE, LEACE, AGAINST, ALONG])
def test_a_concept_that_nothing_reads_does_no_more_than_random_directions(method):
    found = find(planted(1, False), method, N_LAYERS, WRITES, **INTERVALS)
    assert (found.columns["p"] > 0.05).all()
    assert np.isnan([found.values["causal_onset"], found.values["last_effect"]]).all()
    assert np.isfinite(found.values["effect_where_readable_low"])
    assert found.values["effect_where_readable_low"] <= 0


def test_a_tail_gives_what_whole_prompts_give():
    tails, wholes = planted(0, False), planted(0, True)
    for name in ("log_odds", "mass", "changed_log_odds", "changed_mass", "divergence"):
        np.testing.assert_allclose(getattr(tails, name), getattr(wholes, name), atol=2e-5)


def space(n=60, d=12, seed=0):
    draw = np.random.default_rng(seed)
    return Space(draw.normal(size=(n, d)) * np.geomspace(3, 0.1, d) + draw.normal(size=d))


@pytest.mark.parametrize("axis", [0, 4, 11])
def test_random_directions_have_the_variance_of_the_one_they_are_like(axis):
    within = space()
    direction = np.eye(12)[axis]
    found = within.directions_like(direction, np.random.default_rng(1).normal(size=(20, 12)))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose((within.vectors @ found.T).std(axis=0), within.vectors[:, axis].std(), rtol=1e-6)
    if axis == 4:  # Of nearly the most or the least variance there is nearly one direction.
        assert np.abs(found @ found.T)[np.triu_indices(20, 1)].max() < 0.999


@pytest.mark.parametrize("method", [ERASE, LEACE, AGAINST])
def test_controls_move_each_vector_as_far_and_with_its_class_as_often(method):
    within, labels = space(), np.repeat([0, 1], 30).astype(np.int8)
    direction = np.eye(12)[4]
    own = {
        ERASE: erasing(within, CONCEPT, direction),
        LEACE: projecting(within, CONCEPT, *leace(within, labels)),
        AGAINST: stepping(within, CONCEPT, direction, 2.0, AGAINST),
    }[method]
    changes = list(with_controls(within, own, np.random.default_rng(1).normal(size=(20, 12))))
    assert [each.direction for each in changes] == [CONCEPT, *(f"random_{number}" for number in range(1, 21))]
    moved = np.array([each.of(within.vectors, labels) - within.vectors for each in changes])
    lengths = np.linalg.norm(moved, axis=2)
    np.testing.assert_allclose(lengths[1:], np.broadcast_to(lengths[0], lengths[1:].shape))
    along = np.array([each @ change.write / (change.write @ change.write) for each, change in zip(moved, changes)])
    np.testing.assert_allclose(along[1:], np.broadcast_to(along[0], along[1:].shape), atol=1e-12)
    shares = [within.share(change.write / np.linalg.norm(change.write)) for change in changes]
    np.testing.assert_allclose(shares, shares[0], rtol=1e-5)


@pytest.mark.parametrize(
    "method", [LEACE, *(pytest.param(method, marks=pytest.mark.long) for method in (ERASE, AGAINST))]
)
def test_a_random_readout_is_found_to_use_a_concept_as_rarely_as_p_says(method):
    """Three splits, whose directions are alike; readouts that know nothing of the concept, at five layers."""
    draw, n, d = np.random.default_rng(0), 120, 12
    labels, groups, found = np.tile([0, 1], n // 2).astype(np.int8), np.arange(n) // 2, []
    for _ in range(300):
        vectors = draw.normal(size=(n, d)) * np.geomspace(2, 0.3, d)
        vectors[:, 5] += 2 * labels
        orders = [draw.permutation(n // 2) for _ in range(3)]
        tested = [np.flatnonzero(np.isin(groups, order[: n // 8])) for order in orders]
        asked, splits = asked_statements(labels, groups, tested, 24, seed=0)
        drawn, effects = draw.normal(size=(20, d)), np.empty((21, 1, len(asked)))
        readout = draw.normal(size=d)
        for number, test in enumerate(tested):
            train = np.setdiff1d(np.arange(n), test)
            within, own = Space(vectors[train]), labels[train]
            direction = vectors[train][own == 1].mean(axis=0) - vectors[train][own == 0].mean(axis=0)
            direction /= np.linalg.norm(direction)
            change = {
                ERASE: lambda: erasing(within, CONCEPT, direction),  # noqa: B023
                LEACE: lambda: projecting(within, CONCEPT, *leace(within, own)),  # noqa: B023
                AGAINST: lambda: stepping(within, CONCEPT, direction, 2.0, AGAINST),  # noqa: B023
            }[method]()
            which = splits == number
            those = asked[which]
            for place, each in enumerate(with_controls(within, change, drawn)):
                moved = (each.of(vectors[those], labels[those]) - vectors[those]) @ readout
                effects[place, 0, which] = -moved * (2.0 * labels[those] - 1)
        means = mean_effects(effects)
        found.append(p_values(means[0], means[1:])[0])
    share = np.mean(np.array(found) <= 0.05)
    assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert np.mean(np.array(found) <= 0.5) > 0.35  # And it can be found.


def test_more_variance_than_any_direction_has_gives_the_one_of_most():
    within = Space(np.random.default_rng(0).normal(size=(200, 3)) * [5, 1, 1])
    along = np.linalg.svd(within.vectors - within.mean)[2][0]
    found = within.directions_like(along, np.random.default_rng(1).normal(size=(3, 3)))
    np.testing.assert_allclose(np.abs(found @ along), 1, atol=1e-3)


def naive_leace(vectors, labels):
    """Belrose et al. (2023), theorem 4.3, with the covariance that the library estimates."""
    values, axes = np.linalg.eigh(covariance(vectors))
    root, inverse = (axes * values**power @ axes.T for power in (0.5, -0.5))
    cross = (vectors - vectors.mean(axis=0)).T @ (labels - labels.mean()) / (len(labels) - 1)
    whitened = inverse @ cross
    unit = whitened / np.linalg.norm(whitened)
    return inverse @ unit, root @ unit


def covariance(vectors):
    centred = torch.from_numpy(vectors - vectors.mean(axis=0))
    return optimal_linear_shrinkage(centred.T @ centred / len(vectors), len(vectors)).numpy()


def test_leace_is_that_of_its_theorem_and_leaves_the_classes_one_mean():
    within, labels = space(), np.repeat([0, 1], 30).astype(np.int8)
    vectors = within.vectors.copy()
    vectors[labels == 1] += np.linspace(0.5, -0.5, 12)
    read, write = leace(Space(vectors), labels)
    expected = naive_leace(vectors, labels)
    sign = np.sign(read @ expected[0])
    np.testing.assert_allclose(sign * read, expected[0], rtol=1e-6)
    np.testing.assert_allclose(sign * write, expected[1], rtol=1e-6)
    change = projecting(Space(vectors), CONCEPT, read, write)
    changed = change.of(vectors, labels)
    np.testing.assert_allclose(changed.mean(axis=0), vectors.mean(axis=0))
    np.testing.assert_allclose(changed[labels == 1].mean(axis=0), changed[labels == 0].mean(axis=0), atol=1e-9)


def test_an_erased_direction_is_at_its_mean_and_all_else_as_it_was():
    within, labels = space(), np.repeat([0, 1], 30).astype(np.int8)
    direction = np.ones(12) / np.sqrt(12)
    change = erasing(within, CONCEPT, direction)
    changed = change.of(within.vectors, labels)
    np.testing.assert_allclose(changed @ direction, within.mean @ direction)
    np.testing.assert_allclose(
        changed - np.outer(changed @ direction, direction),
        within.vectors - np.outer(within.vectors @ direction, direction),
        atol=1e-12,
    )


@pytest.mark.parametrize(("method", "sign"), [(AGAINST, -1), (ALONG, 1)])
def test_a_step_is_so_many_deviations_towards_a_class_or_against_it(method, sign):
    within, labels = space(), np.repeat([0, 1], 30).astype(np.int8)
    direction = np.eye(12)[3]
    change = stepping(within, CONCEPT, direction, 2.0, method)
    moved = (change.of(within.vectors, labels) - within.vectors) @ direction
    np.testing.assert_allclose(moved, sign * 2 * within.vectors[:, 3].std() * (2 * labels - 1.0))


@pytest.mark.parametrize(
    ("every", "onset", "expected"),
    [
        (3, None, [0, 3, 6, 9]),
        (3, 5, [0, 3, 4, 5, 6, 9]),
        (4, 0, [0, 1, 4, 8, 9]),
        (100, 9, [0, 8, 9]),
        (1, 3, list(range(10))),
    ],
)
def test_layers_are_every_so_many_the_last_and_those_around_the_onset(every, onset, expected):
    assert chosen_layers(10, every, onset) == expected


def test_statements_are_whole_groups_of_both_classes_each_held_out_by_its_split():
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 2)
    labels = np.where(draw.random(80) < 0.8, 1, 0).astype(np.int8)
    tested = [np.flatnonzero(np.isin(groups, draw.choice(40, 15, replace=False))) for _ in range(3)]
    asked, splits = asked_statements(labels, groups, tested, 20, seed=3)
    assert (np.diff(asked) > 0).all()
    assert 20 <= len(asked) <= 21
    assert all(statement in tested[split] for statement, split in zip(asked, splits))
    assert np.bincount(groups[asked])[np.unique(groups[asked])].tolist() == [2] * (len(asked) // 2)
    assert labels[asked].mean() < labels[np.unique(np.concatenate(tested))].mean()
    everything, _ = asked_statements(labels, groups, tested, 1000, seed=3)
    np.testing.assert_array_equal(everything, np.unique(np.concatenate(tested)))


def test_of_large_groups_some_statements_are_asked_and_of_one_class_goes_on_until_there_is_another():
    groups, labels = np.repeat(np.arange(10), 40), np.repeat([0, 1], 200).astype(np.int8)
    asked, _ = asked_statements(labels, groups, [np.arange(400)], 16, seed=0)
    assert len(asked) == 16
    assert np.bincount(groups[asked])[np.unique(groups[asked])].tolist() == [4] * 4
    assert set(labels[asked]) == {0, 1}
    few, _ = asked_statements(labels, np.repeat(np.arange(2), 200), [np.arange(400)], 16, seed=0)
    assert len(set(labels[few])) == 2


def test_statements_whose_partners_were_trained_on_are_not_asked():
    groups, labels = np.repeat(np.arange(6), 2), np.tile([0, 1], 6).astype(np.int8)
    asked, splits = asked_statements(labels, groups, [np.array([0, 1, 2, 6, 7])], 100, seed=0)
    assert asked.tolist() == [0, 1, 6, 7]  # Of 2, a partner is left to train on.
    assert splits.tolist() == [0] * 4


def naive_p(own, controls):
    together = np.vstack([own, controls])
    units = (together - together.mean(axis=0)) / together.std(axis=0)
    return [
        (1 + sum(control.max() >= units[0, layer] for control in units[1:])) / len(together)
        for layer in range(len(own))
    ]


def test_p_values_are_ranks_of_the_largest_of_all_layers_and_exact_where_there_is_no_effect():
    draw = np.random.default_rng(0)
    drawn = draw.normal(size=(4000, 21, 5)) * [1, 5, 0.2, 1, 3] + draw.normal(size=(1, 1, 5))
    found = p_values(drawn[:, 0], drawn[:, 1:])
    np.testing.assert_allclose(found[:20], [naive_p(each[0], each[1:]) for each in drawn[:20]])
    smallest = found.min(axis=1)
    for bound in (1 / 21, 2 / 21, 5 / 21):  # As often as they say, but for four standard errors of 4,000.
        share = np.mean(smallest <= bound + 1e-9)
        assert abs(share - bound) < 4 * np.sqrt(bound * (1 - bound) / len(drawn))


def test_layers_where_nothing_changes_have_no_effect():
    own, controls = np.array([3.0, 0.0]), np.stack([np.linspace(-1, 1, 20), np.zeros(20)], axis=1)
    assert p_values(own, controls).tolist() == [1 / 21, 1.0]


def test_first_and_last_are_of_the_layers_that_were_changed():
    has = np.array([[False, True, True, False], [False] * 4, [True] * 4])
    first, last = first_and_last(has, np.array([0, 3, 6, 7], np.int32), 8)
    np.testing.assert_array_equal(first, [3 / 8, np.nan, 0])
    np.testing.assert_array_equal(last, [6 / 8, np.nan, 7 / 8])


def test_means_of_draws_are_weighted_means():
    draw = np.random.default_rng(0)
    effects, weights = draw.normal(size=(3, 4, 6)), draw.integers(0, 3, size=(5, 6)).astype(float)
    expected = [[np.average(each, axis=1, weights=row) for each in effects] for row in weights]
    np.testing.assert_allclose(mean_effects(effects, weights), expected)
    np.testing.assert_allclose(mean_effects(effects), effects.mean(axis=2))


def test_an_interval_of_draws_counts_those_without_such_a_layer_as_later_than_all():
    values = np.concatenate([np.linspace(0, 1, 99), [np.nan]])
    assert interval_of_draws(values, 0.9) == pytest.approx((0.04, 0.96), abs=0.02)
    low, high = interval_of_draws(np.where(np.arange(99) < 90, 0.5, np.nan), 0.9)
    assert (low, np.isnan(high)) == (0.5, True)
    assert np.isnan(interval_of_draws(np.array([]), 0.9)).all()


def test_a_file_of_changes_is_read_as_it_was_written_and_refused_if_it_is_damaged(tmp_path):
    draw = np.random.default_rng(0)
    changes = Changes(
        *(draw.normal(size=(2, 3, 4, 5)).astype(np.float32) for _ in range(2)),
        draw.normal(size=(2, 3, 4, 2)).astype(np.float32), np.array([0, 7], np.int32), [ERASE] * 4,
        [CONCEPT, SHUFFLED, "random_1", "random_2"], np.array([4, 9], np.int32), np.array([2, 0], np.int32), "last",
    )  # fmt: skip
    write_changes(tmp_path / "changes.h5", changes, "record")
    found = read_changes(tmp_path / "changes.h5")
    for name, value in vars(changes).items():
        np.testing.assert_array_equal(getattr(found, name), value)
    assert found.of_concept.tolist() == [0]
    write_changes(tmp_path / "other.h5", replace(changes, splits=np.array([2, 1], np.int32)), "record")
    with h5py.File(tmp_path / "other.h5", "r+") as file:
        file["split"][0] = 3
    with pytest.raises(UserError, match="other.h5 is damaged.*of a split that it does not have"):
        read_changes(tmp_path / "other.h5")


def test_what_an_erasure_leaves_a_new_probe():
    """A concept along one coordinate: erased it is gone; a probe that was erased along another finds it as before."""
    draw = np.random.default_rng(0)
    labels = (np.arange(200) % 2).astype(np.int8)
    vectors = draw.normal(size=(200, 6))
    vectors[:, 2] += 6 * labels
    task = Task(CONCEPT, 0, np.arange(100), np.arange(100, 200), labels, np.arange(200).astype(object))
    layer = Layer(vectors, np.append(np.eye(6)[2], -3.0), task)
    changes = [erasing(layer.space, CONCEPT, np.eye(6)[place]) for place in (2, 4)]
    own, other = facts_of(layer, changes, PROBE)
    assert own["auc_before"] > 0.99
    found = completeness(pd.DataFrame([own, other]), known=True)
    assert found[0] > 0.7
    assert abs(found[1]) < 0.01
    assert completeness(pd.DataFrame([own]), known=False).isna().all()
    assert own["share_of_variance"] == pytest.approx(vectors[:100, 2].var() / vectors[:100].var(axis=0).sum())
    (fact,) = facts_of(layer, [stepping(layer.space, CONCEPT, np.eye(6)[2], 3.0, AGAINST)], PROBE)
    assert completeness(pd.DataFrame([fact]), known=False)[0] > 0.9
    shifted = replace(layer, coefficients=np.append(np.eye(6)[2], -6.0))  # Which tells half of class 1 wrongly.
    (fact,) = facts_of(shifted, [stepping(layer.space, CONCEPT, np.eye(6)[2], 3.0, ALONG)], PROBE)
    assert fact["told_otherwise"] > 0.9


def test_too_little_memory_is_said_in_a_sentence(monkeypatch):
    asking, _, asked, *_ = asking_of(0, False)

    def run_out(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("conceptdepth.activations.above.Tails.ends", run_out)
    with pytest.raises(UserError, match="^tiny: memory ran out with passes of 300 tokens.*`execution.batch_tokens`"):
        asking.ask(asked, [[BEGIN, CUE]])
