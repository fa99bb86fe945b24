"""Positions: what passes hand on is what each prompt gives alone, indexed by hand, wherever its tokens are computed."""

import numpy as np
import pytest
import torch
from architectures import CLASSES, OWN_MASKS, WRAPPERS, model_of
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.layouts import EqualLengths, MaskedTrees, Trees, layouts_of
from conceptdepth.activations.reading import Pieces, Reading
from conceptdepth.activations.spots import spot
from conceptdepth.activations.trees import flat_passes
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.models.sites import decoder_of
from plain_passes import plain_states, prompts, read_by_hand

pytestmark = pytest.mark.usefixtures("one_thread")

TOLERANCE = 1e-5
"""Relative to the length of a vector, in float32: another order of additions gives up to 4e-6."""


def positions_of(tokens):
    """Return stretches of prompts as a text has them: of one token, of some, of nearly all, in what prompts share."""
    lengths = [len(prompt) for prompt in tokens]
    return {
        "last": [np.array([n - 1]) for n in lengths],
        "first": [np.array([0]) for _ in lengths],
        "middle": [np.array([n // 2]) for n in lengths],
        "all but the first": [np.arange(min(1, n - 1), n) for n in lengths],
        "beginning": [np.arange(max(1, n // 3)) for n in lengths],
        "across": [np.arange(n // 4, max(n // 4 + 1, 3 * n // 4)) for n in lengths],
        "with gaps": [np.arange(0, n, 2) for n in lengths],
    }


def extracted(body, tokens, name, positions, site="residual", **settings):
    n_layers, d_model = shape(body, name)
    found = {
        spot(site, position): np.full((n_layers, len(tokens), d_model), np.nan, np.float32) for position in positions
    }
    extract(body, tokens, into=found, positions=positions, name=name, **settings)
    return {position: found[spot(site, position)] for position in positions}


def assert_read(found, states, positions):
    for position, places in positions.items():
        expected = read_by_hand(states, places)
        difference = np.linalg.norm(found[position] - expected, axis=2) / np.linalg.norm(expected, axis=2)
        assert difference.max() < TOLERANCE, position


NAMES = [name for names in (*CLASSES.values(), WRAPPERS) for name in names]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("common", [pytest.param(0, marks=pytest.mark.long), 17])
def test_each_position_is_what_each_prompt_gives_alone(name, common):
    """With windows of six tokens, where the type has windows; in passes that end anywhere."""
    body, tokens = decoder_of(model_of(name), name), prompts(common)
    layout = MaskedTrees() if name in OWN_MASKS else layouts_of(body)[0]
    positions = positions_of(tokens)
    states = plain_states(body, tokens, "residual")
    for batch_tokens in (1, 24) if common else (70,):
        found = extracted(body, tokens, name, positions, batch_tokens=batch_tokens, layout=layout)
        assert_read(found, states, positions)


@pytest.mark.parametrize("layout", [Trees(), MaskedTrees(), MaskedTrees(9), EqualLengths()], ids=repr)
@pytest.mark.parametrize("site", ["residual", "mlp_input"])
def test_in_every_layout(layout, site):
    body, tokens = decoder_of(model_of("llama"), "llama"), prompts(5)
    positions = positions_of(tokens)
    found = extracted(body, tokens, "llama", positions, site, batch_tokens=30, layout=layout)
    assert_read(found, plain_states(body, tokens, site), positions)


def test_the_embedding_has_positions_too():
    body, tokens = decoder_of(model_of("llama"), "llama"), prompts(5)
    positions = positions_of(tokens)
    found = {spot(EMBEDDING, position): np.empty((1, len(tokens), 32), np.float32) for position in positions}
    into = found | {spot("residual", position): np.empty((4, len(tokens), 32), np.float32) for position in positions}
    extract(body, tokens, into=into, positions=positions, batch_tokens=30, name="llama")
    with torch.inference_mode():
        states = [body.get_input_embeddings()(torch.tensor(prompt))[None].numpy() for prompt in tokens]
    assert_read({position: found[spot(EMBEDDING, position)] for position in positions}, states, positions)


def test_a_long_first_vector_costs_the_others_no_digits():
    """As the massive activations of real models would cost means that are differences of cumulative sums."""
    tokens = prompts(5)
    draw = np.random.default_rng(0)
    vectors = {prefix: draw.normal(size=8) for prompt in tokens for prefix in beginnings(prompt)}
    vectors |= {prefix: 1e6 * vector for prefix, vector in vectors.items() if len(prefix) == 1}
    positions = {"mean": [np.arange(1, len(prompt)) for prompt in tokens]}
    for found, batch in read_made_up(tokens, vectors, positions, capacity=1000):
        for prompt, vector in zip(batch.prompts, found["mean"]):
            expected = np.mean([vectors[prefix] for prefix in beginnings(tokens[prompt])[1:]], axis=0)
            np.testing.assert_allclose(vector, expected, atol=1e-6, rtol=1e-6)


def beginnings(prompt):
    return [tuple(prompt[: k + 1]) for k in range(len(prompt))]


def read_made_up(tokens, vectors, positions, capacity):
    """Yield what is read of each pass, and the pass, where each beginning of a prompt has a vector of its own."""
    earlier = None
    for batch in flat_passes(tokens, capacity=capacity):
        own = {}
        for prompt, path in zip(batch.prompts, batch.paths):
            own |= dict(zip(path.tolist(), beginnings(tokens[prompt])))
        there = torch.tensor(
            np.array([vectors[own[place]] for place in range(batch.kept, batch.kept + batch.tokens.size)]),
            dtype=torch.float32,
        )
        reading = Reading(batch, positions)
        yield reading.read(there, earlier), batch
        earlier = reading.for_the_next(there, earlier)


@pytest.mark.parametrize("capacity", [1, 7, 30])
def test_what_is_read_may_lie_in_passes_long_before(capacity):
    tokens = prompts(20)
    draw = np.random.default_rng(0)
    vectors = {prefix: draw.normal(size=8) for prompt in tokens for prefix in beginnings(prompt)}
    positions = positions_of(tokens)
    looked_back = 0
    for found, batch in read_made_up(tokens, vectors, positions, capacity):
        looked_back += batch.kept > 0
        for position, values in found.items():
            for prompt, vector in zip(batch.prompts, values):
                chosen = positions[position][prompt]
                expected = np.mean([vectors[beginnings(tokens[prompt])[k]] for k in chosen], axis=0)
                np.testing.assert_allclose(vector, expected, atol=1e-5)
    assert looked_back > 1


def test_means_are_those_of_a_loop():
    draw = np.random.default_rng(0)
    vectors = torch.tensor(draw.normal(size=(50, 3)), dtype=torch.float32)
    means = [np.sort(draw.choice(50, draw.integers(1, 40), replace=False)) for _ in range(30)]
    means += [np.arange(3, 20), np.arange(10, 30), np.array([49]), np.arange(50), np.array([20, 21, 22, 3, 4])]
    expected = np.stack([vectors[places].double().mean(0) for places in means])
    np.testing.assert_allclose(Pieces(means, vectors.device).means(vectors), expected, atol=1e-6)


def test_a_piece_that_many_share_is_summed_once():
    shared = np.arange(40)
    pieces = Pieces([np.r_[shared, 40 + n] for n in range(100)], torch.device("cpu"))
    assert len(pieces._pieces) == 200
