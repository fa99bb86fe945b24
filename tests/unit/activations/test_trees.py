"""Flat passes: every prompt is found again along its path, and nothing that prompts share is computed twice."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from conceptdepth.activations.trees import Sight, common_prefix, distinct_tokens, flat_passes

DRAW = np.random.default_rng(0)
PROMPTS = [DRAW.integers(0, 3, DRAW.integers(1, 12)).tolist() for _ in range(60)]
"""Few tokens, so that prefixes of every length are shared and some prompts are equal."""

BEGINNINGS = {tuple(prompt[: k + 1]) for prompt in PROMPTS for k in range(len(prompt))}
"""What has to go through a model: the distinct beginnings of the prompts."""

CAPACITIES = [1, 20, 64, 10_000]


def walked(passes):
    """Yield each pass with the ids and positions of all tokens at its places: kept as attention keeps them, and its own."""
    kept = np.zeros((2, 0), np.int64)
    for one in passes:
        assert one.tokens.shape[0] == 1, "one row"
        assert one.tree.kept == kept.shape[1]
        ids, positions = there = np.concatenate([kept, [one.tokens[0], one.tree.positions]], axis=1)
        yield one, ids, positions
        kept = there[:, one.tree.keep]
    assert kept.shape[1] == 0, "nothing comes after the last pass"


def beginning(ids, visible) -> tuple[int, ...]:
    return tuple(ids[visible].tolist())


@pytest.mark.parametrize("keeping", [True, False])
@pytest.mark.parametrize("capacity", CAPACITIES)
def test_every_prompt_is_in_one_pass_and_can_be_read_back(capacity, keeping):
    """What its last token sees is the prompt, in its order, with positions from 0 on."""
    read = []
    for one, ids, positions in walked(flat_passes(PROMPTS, capacity=capacity, keeping=keeping)):
        visible = one.tree.visible(Sight())
        for prompt, last in zip(one.prompts, one.last):
            assert ids[visible[last]].tolist() == PROMPTS[prompt]
            assert positions[visible[last]].tolist() == list(range(len(PROMPTS[prompt])))
        read += one.prompts.tolist()
    assert sorted(read) == list(range(len(PROMPTS)))


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_the_path_of_a_run_spells_the_prompts_whose_last_tokens_it_has(capacity):
    for one, ids, _ in walked(flat_passes(PROMPTS, capacity=capacity)):
        run_of = np.repeat(np.arange(len(one.tree.starts)), one.tree.ends - one.tree.starts)
        for prompt, last in zip(one.prompts, one.last):
            path = one.tree.each_path[run_of[last]]
            assert ids[path][: len(PROMPTS[prompt])].tolist() == PROMPTS[prompt]


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_each_beginning_is_computed_once_however_many_passes_there_are(capacity):
    computed = [
        beginning(ids, seen)
        for one, ids, _ in walked(flat_passes(PROMPTS, capacity=capacity))
        for seen in one.tree.visible(Sight())
    ]
    assert len(computed) == len(set(computed)) == distinct_tokens(PROMPTS)
    assert set(computed) == BEGINNINGS


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_passes_that_keep_nothing_compute_each_beginning_once_a_pass(capacity):
    for one, ids, _ in walked(flat_passes(PROMPTS, capacity=capacity, keeping=False)):
        computed = [beginning(ids, seen) for seen in one.tree.visible(Sight())]
        assert len(computed) == len(set(computed))
        assert (one.tree.kept, len(one.tree.keep)) == (0, 0)


@pytest.mark.parametrize("keeping", [True, False])
@pytest.mark.parametrize("capacity", CAPACITIES)
def test_passes_keep_to_their_capacity_unless_one_run_exceeds_it(capacity, keeping):
    passes = list(flat_passes(PROMPTS, capacity=capacity, keeping=keeping))
    assert (len(passes) == 1) == (capacity > len(BEGINNINGS))
    for one in passes:
        assert one.tokens.size <= capacity or len(one.tree.starts) == 1


def test_passes_are_filled():
    """A pass ends because the run that follows does not fit."""
    for one, following in pairwise(flat_passes(PROMPTS, capacity=20)):
        assert one.tokens.size + following.tree.ends[0] - following.tree.starts[0] > 20


@pytest.mark.parametrize("capacity", [1, 30, 60])
def test_paths_of_a_pass_are_bounded_too(capacity, monkeypatch):
    """Of one long beginning with many short ends, keys and values are gathered a hundred times."""
    monkeypatch.setattr("conceptdepth.activations.trees.MOST_KEYS", 8 * capacity)
    prompts = [[1] * 100 + [2, number] for number in range(50)]
    passes = list(flat_passes(prompts, capacity=capacity))
    assert sum(one.tokens.size for one in passes) == 101 + 50
    for one in passes:
        assert len(one.tree.paths) == one.tree.ends.sum()
        assert len(one.tree.paths) <= 8 * capacity or len(one.tree.starts) == 1
    assert (capacity == 60) == any(len(one.tree.starts) > 3 for one in passes)


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_prompts_of_a_pass_are_ascending(capacity):
    """Files are written that way."""
    for one in flat_passes(PROMPTS, capacity=capacity):
        assert (np.diff(one.prompts) > 0).all()


def test_passes_do_not_depend_on_the_order_of_prompts():
    turned = flat_passes(PROMPTS[::-1], capacity=40)
    assert [one.tokens.tolist() for one in turned] == [one.tokens.tolist() for one in flat_passes(PROMPTS, capacity=40)]


@pytest.mark.parametrize("capacity", [1, 20, 10_000])
def test_equal_prompts_share_a_place_and_a_pass(capacity):
    for one in flat_passes(PROMPTS, capacity=capacity):
        places = {}
        for prompt, last in zip(one.prompts, one.last):
            places.setdefault(tuple(PROMPTS[prompt]), set()).add(int(last))
        assert all(len(found) == 1 for found in places.values())
        assert len(one.prompts) == sum(tuple(prompt) in places for prompt in PROMPTS)


def test_prompts_that_are_all_equal_are_computed_once():
    (one,) = flat_passes([[4, 5, 6]] * 9, capacity=2)
    assert (one.tokens.tolist(), one.last.tolist()) == ([[4, 5, 6]], [2] * 9)


def test_common_prefix():
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([1], [1, 2]) == 1
    assert common_prefix([], [1]) == 0


def test_distinct_tokens():
    assert distinct_tokens(PROMPTS) == len(BEGINNINGS)
    assert distinct_tokens([[1, 2, 3], [1, 2, 3], [1, 2], [2]]) == 4


SIGHTS = {
    "everywhere": (Sight(), lambda last: 0),
    "window of 1": (Sight(window=1), lambda last: last),
    "window of 4": (Sight(window=4), lambda last: max(0, last - 3)),
    "chunks of 4": (Sight(chunk=4), lambda last: last // 4 * 4),
}
"""How far back tokens attend -> the first position that a token sees, from its own."""

by_sight = pytest.mark.parametrize(("sight", "first_of"), SIGHTS.values(), ids=SIGHTS)


@by_sight
def test_tokens_see_from_a_first_position_to_their_own(sight, first_of):
    everywhere = np.arange(12)
    table = sight.reaches(everywhere[:, None], everywhere)
    for position in range(12):
        assert np.flatnonzero(table[position]).tolist() == list(range(first_of(position), position + 1))
    both = torch.arange(12)
    np.testing.assert_array_equal(sight.reaches(both[:, None], both).numpy(), table)


@by_sight
@pytest.mark.parametrize("capacity", [20, 60])
def test_the_last_tokens_of_prompts_see_them_as_far_as_they_see(sight, first_of, capacity):
    for one, ids, positions in walked(flat_passes(PROMPTS, capacity=capacity)):
        visible = one.tree.visible(sight)
        for prompt, last in zip(one.prompts, one.last):
            whole = PROMPTS[prompt]
            first = first_of(len(whole) - 1)
            assert ids[visible[last]].tolist() == whole[first:]
            assert positions[visible[last]].tolist() == list(range(first, len(whole)))


@by_sight
def test_what_tokens_see_is_what_a_loop_over_beginnings_finds(sight, first_of):
    """A token sees another if the other's beginning is one of its own, and not too far back."""
    for one, ids, _ in walked(flat_passes(PROMPTS, capacity=30)):
        whole = {place: beginning(ids, path[: k + 1]) for path in one.tree.each_path for k, place in enumerate(path)}
        found = one.tree.visible(sight)
        for row, seen in enumerate(found):
            mine = whole[one.tree.kept + row]
            for place, its in whole.items():
                expected = mine[: len(its)] == its and len(its) - 1 >= first_of(len(mine) - 1)
                assert seen[place] == expected
        assert not found[:, sorted(set(range(found.shape[1])) - set(whole))].any(), "what is on no path"
