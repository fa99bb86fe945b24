"""Packing: every prompt is found again in its row, nothing is computed twice, masks are trees."""

import numpy as np
import pytest
from conceptdepth.activations.packing import batches, common_prefix, everywhere, pack, same_chunk, split_prefix, within

DRAW = np.random.default_rng(0)
PROMPTS = [DRAW.integers(0, 3, DRAW.integers(1, 12)).tolist() for _ in range(60)]
"""Few tokens, so that prefixes of every length are shared and some prompts are equal."""


@pytest.mark.parametrize("capacity", [1, 20, 64, 10_000])
def test_every_prompt_can_be_read_back_along_its_parents(capacity):
    found = {}
    for row in pack(PROMPTS, capacity):
        for prompt, place in zip(row.prompts, row.last):
            path = []
            while place >= 0:
                path.append(int(row.tokens[place]))
                assert row.positions[place] == (row.positions[row.parents[place]] + 1 if row.parents[place] >= 0 else 0)
                place = row.parents[place]
            found[int(prompt)] = path[::-1]
    assert found == dict(enumerate(PROMPTS))


@pytest.mark.parametrize("capacity", [1, 20, 64])
def test_rows_keep_to_their_capacity_unless_one_prompt_exceeds_it(capacity):
    for row in pack(PROMPTS, capacity):
        assert len(row.tokens) <= capacity or len({tuple(PROMPTS[i]) for i in row.prompts}) == 1


def test_one_row_holds_each_prefix_once():
    (row,) = pack(PROMPTS, 10_000)
    assert len(row.tokens) == len({tuple(prompt[: k + 1]) for prompt in PROMPTS for k in range(len(prompt))})


def test_ancestors_are_the_parents_of_parents_and_nothing_else():
    for row in pack(PROMPTS, 40):
        found = row.ancestors()
        for place in range(len(row.tokens)):
            expected, at = [], place
            while at >= 0:
                expected.append(at)
                at = row.parents[at]
            assert sorted(expected) == np.flatnonzero(found[place]).tolist()


def test_packing_does_not_depend_on_the_order_of_prompts():
    turned = pack(PROMPTS[::-1], 40)
    assert [row.tokens.tolist() for row in turned] == [row.tokens.tolist() for row in pack(PROMPTS, 40)]


def test_common_prefix():
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([1], [1, 2]) == 1
    assert common_prefix([], [1]) == 0


def test_the_prefix_of_all_prompts_is_split_off_and_each_keeps_a_token():
    assert split_prefix([[1, 2, 3], [1, 2, 4, 5], [1, 2, 3]]) == ([1, 2], [[3], [4, 5], [3]])
    assert split_prefix([[1, 2], [1, 2, 4]]) == ([1], [[2], [2, 4]])
    assert split_prefix([[1, 2], [3]]) == ([], [[1, 2], [3]])
    assert split_prefix([[1, 2, 3]]) == ([1, 2], [[3]])


@pytest.mark.parametrize("capacity", [10, 60, 500])
def test_a_pass_takes_rows_up_to_its_capacity_and_every_row_once(capacity):
    rows = pack(PROMPTS, 20)
    passes = list(batches(rows, offset=3, capacity=capacity))
    assert sorted(index for batch in passes for index in batch.prompts) == list(range(len(PROMPTS)))
    for batch in passes:
        assert len(batch.rows) == 1 or batch.tokens.size <= capacity
    padded = sum(batch.tokens.size for batch in passes) - sum(len(row.tokens) for row in rows)
    assert padded <= sum(len(row.tokens) for row in rows) // 4, "rows of a pass are of about equal length"


NEAR = {
    "everywhere": (everywhere, lambda last: 0),
    "window of 1": (within(1), lambda last: last),
    "window of 4": (within(4), lambda last: max(0, last - 3)),
    "chunks of 4": (same_chunk(4), lambda last: last // 4 * 4),
}
"""What tokens may attend to -> the first position that a token sees, from its own."""


@pytest.mark.parametrize(("near", "first_of"), NEAR.values(), ids=NEAR)
def test_a_pass_finds_every_prompt_behind_its_prefix(near, first_of):
    """Read back what the last token of each prompt sees: the prefix and its own tokens, as far as it sees."""
    prefix = [7, 8, 9]
    for batch in batches(pack(PROMPTS, 20), offset=3, capacity=60):
        visible, width = batch.visible(near), batch.width
        for prompt, last in zip(batch.prompts, batch.last):
            row, place = divmod(int(last), width)
            ids = np.concatenate([prefix, batch.tokens[row]])
            positions = np.concatenate([[0, 1, 2], batch.positions[row]])
            whole = [*prefix, *PROMPTS[prompt]]
            first = first_of(len(whole) - 1)
            assert ids[visible[row, place]].tolist() == whole[first:]
            assert positions[visible[row, place]].tolist() == list(range(first, len(whole)))


def test_padding_is_seen_by_nothing_and_sees_itself():
    (batch,) = batches(pack([[1, 2, 3], [4, 5]], 3), offset=2, capacity=6)
    visible = batch.visible(everywhere)
    assert visible[1, 2].tolist() == [False, False, False, False, True]
    assert not visible[1, :2, 4].any()
