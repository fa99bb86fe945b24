"""What attention gathers: every token of a pass once, with its own path, and little padding."""

import numpy as np
import pytest
import torch
from conceptdepth.activations.gathering import ROW_TOKENS, OnDevice
from conceptdepth.activations.trees import Sight, flat_passes
from test_trees import PROMPTS

CPU = torch.device("cpu")

LONG = [[3, *range(4, 4 + ROW_TOKENS + more)] for more in (0, 20, 90)] + [
    [number] * ROW_TOKENS for number in (200, 201)
]
"""Prompts of which some are longer than a row; with those of few tokens."""


@pytest.fixture(params=[20, 64, 10_000])
def trees(request):
    return [one.tree for one in flat_passes(PROMPTS + LONG, capacity=request.param)]


def rows_of(batch):
    """Return for each row of a batch its number of tokens that are not padding."""
    return np.bincount(batch.owned.numpy() // batch.queries.shape[1], minlength=len(batch.queries))


def test_batches_have_every_token_of_a_pass_once(trees):
    for tree in trees:
        on = OnDevice(tree, CPU)
        places = torch.cat([batch.queries.flatten()[batch.owned] for batch in on.batches])
        everywhere = torch.arange(len(tree.positions))
        assert torch.equal(places.sort().values, everywhere)
        put_back = places if on.back is None else places[on.back]
        assert torch.equal(put_back, everywhere), "put back in the order of the pass"


@pytest.mark.parametrize("sight", [Sight(), Sight(window=4), Sight(chunk=5)])
def test_rows_see_what_the_tree_shows_their_tokens(trees, sight):
    """Read back by places, of each query: its keys and what it attends to."""
    for tree in trees:
        expected = tree.visible(sight)
        on = OnDevice(tree, CPU)
        for batch in on.batches:
            visible = on.visible(batch, sight).numpy()
            for row, length in enumerate(rows_of(batch)):
                keys = batch.rows[row].keys
                assert batch.keys[row, : len(keys)].tolist() == keys.tolist()
                assert not visible[row, :, len(keys) :].any(), "padding is seen by nothing"
                found = np.zeros((length, expected.shape[1]), bool)
                found[:, keys] = visible[row, :length, : len(keys)]
                np.testing.assert_array_equal(found, expected[batch.queries[row, :length]])


def test_rows_have_their_tokens_unless_one_run_is_longer_and_are_padded_to_less_than_twice(trees):
    for tree in trees:
        for batch in OnDevice(tree, CPU).batches:
            keys = [len(row.keys) for row in batch.rows]
            assert batch.keys.shape[1] == max(keys) < 2 * min(keys)
            assert batch.queries.shape[1] == max(len(row.queries) for row in batch.rows)
            assert all(len(row.queries) <= ROW_TOKENS or len(row.runs) == len(batch.rows) == 1 for row in batch.rows)


def test_few_rows_share_a_pass_of_many_runs():
    (one,) = flat_passes(PROMPTS, capacity=10_000)
    rows = sum(len(batch.rows) for batch in OnDevice(one.tree, CPU).batches)
    assert rows <= 2 * one.tokens.size / ROW_TOKENS + 1


def test_cumulative_lengths_are_those_of_runs_and_paths(trees):
    for tree in trees:
        on = OnDevice(tree, CPU)
        assert (on.run_ends.dtype, on.path_ends.dtype) == (torch.int32, torch.int32)
        np.testing.assert_array_equal(on.run_ends, [0, *np.cumsum(tree.ends - tree.starts)])
        np.testing.assert_array_equal(on.path_ends, [0, *np.cumsum(tree.ends)])


def test_paths_are_put_together_of_new_and_kept_tokens(trees):
    for tree in trees:
        on = OnDevice(tree, CPU)
        where, which = on.kept
        found = on.paths + tree.kept
        found[where] = which
        np.testing.assert_array_equal(found, tree.paths)


def test_what_the_next_pass_needs_are_the_first_of_those_kept_and_new_ones(trees):
    for tree in trees:
        before, places = OnDevice(tree, CPU).keep
        np.testing.assert_array_equal([*range(before), *(places + tree.kept)], tree.keep)
        assert (places >= 0).all()
