"""Pairs that differ in one thing, against a loop over all pairs."""

import itertools

import numpy as np
import pytest
from conceptdepth.depth.pairs import pairs
from conceptdepth.ground.names import CURVE

GRID = [dict(zip(CURVE, values)) for values in itertools.product("ab", "xyz", "d", "cn", "s", "o", "lm")]


def naive(names, column, first):
    return [
        (one, other)
        for other in range(len(names))
        for one in range(len(names))
        if names[one][column] == first
        and names[other][column] != first
        and all(names[one][name] == names[other][name] for name in CURVE if name != column)
    ]


@pytest.mark.parametrize("column", CURVE)
@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_those_of_a_naive_loop(column, seed):
    """Of a grid in any order with cells missing."""
    draw = np.random.default_rng(seed)
    names = [GRID[place] for place in draw.permutation(len(GRID))[:17]]
    for first in {own[column] for own in GRID}:
        assert pairs(names, column, first) == naive(names, column, first)
    if len({own[column] for own in GRID}) > 1:
        assert pairs(GRID, column, GRID[0][column]), "the whole grid has pairs"


def test_the_order_of_columns_does_not_matter():
    names = [{"quantization": "x", "perturbation": "c"}, {"perturbation": "c", "quantization": "y"}]
    assert pairs(names, "quantization", "x") == [(0, 1)]
    assert pairs(names, "quantization", "z") == pairs([], "quantization", "x") == []
