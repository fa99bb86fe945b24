"""What attention gathers: every token of a pass once, with its own path, and little padding."""

import numpy as np
import pytest
import torch
from conceptdepth.activations.gathering import LONG_RUN, OnDevice
from conceptdepth.activations.trees import flat_passes
from test_trees import PROMPTS

CPU = torch.device("cpu")

LONG = [[3, *range(4, 4 + LONG_RUN + more)] for more in (0, 20, 90)] + [[number] * LONG_RUN for number in (200, 201)]
"""Prompts of which all but the first are a long run; with those of few tokens."""


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
        assert torch.equal(places[on.back], everywhere), "put back in the order of the pass"


def test_rows_are_runs_with_their_positions_and_paths(trees):
    for tree in trees:
        firsts = np.cumsum(tree.ends - tree.starts) - (tree.ends - tree.starts)
        for batch in OnDevice(tree, CPU).batches:
            for row, length in enumerate(rows_of(batch)):
                run = firsts.tolist().index(int(batch.queries[row, 0]))
                assert length == tree.ends[run] - tree.starts[run]
                assert batch.queries[row, :length].tolist() == list(range(firsts[run], firsts[run] + length))
                assert batch.positions[row, :length].tolist() == list(range(tree.starts[run], tree.ends[run]))
                assert batch.keys[row, : tree.ends[run]].tolist() == tree.each_path()[run].tolist()


def test_rows_are_padded_to_less_than_twice_and_long_runs_stand_alone(trees):
    for tree in trees:
        for batch in OnDevice(tree, CPU).batches:
            lengths = rows_of(batch)
            ends = batch.positions[range(len(lengths)), lengths - 1].numpy() + 1
            assert batch.queries.shape[1] == lengths.max() < 2 * lengths.min()
            assert batch.keys.shape[1] == ends.max() < 2 * ends.min()
            assert len(lengths) == 1 or lengths.max() < LONG_RUN


def test_runs_of_about_one_size_share_a_batch():
    (one,) = flat_passes(PROMPTS, capacity=10_000)
    assert len(OnDevice(one.tree, CPU).batches) < len(one.tree.starts) / 3


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
