"""Packing: every prompt is found again in its row, nothing is computed twice, masks are trees."""

import numpy as np
import pytest
from conceptdepth.packing import common_prefix, pack

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


@pytest.mark.parametrize("window", [None, 1, 3])
def test_a_token_sees_its_ancestors_within_the_window_and_nothing_else(window):
    for row in pack(PROMPTS, 40):
        visible = row.visible(window)
        for place in range(len(row.tokens)):
            ancestors, at = [], place
            while at >= 0 and (window is None or len(ancestors) < window):
                ancestors.append(at)
                at = row.parents[at]
            assert sorted(ancestors) == np.flatnonzero(visible[place]).tolist()


def test_packing_does_not_depend_on_the_order_of_prompts():
    turned = pack(PROMPTS[::-1], 40)
    assert [row.tokens.tolist() for row in turned] == [row.tokens.tolist() for row in pack(PROMPTS, 40)]


def test_common_prefix():
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([1], [1, 2]) == 1
    assert common_prefix([], [1]) == 0
