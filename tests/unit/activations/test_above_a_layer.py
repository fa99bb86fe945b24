"""Prompts changed at one layer: what the blocks above it make of them is what a forward hook on the whole model gives."""

from itertools import product

import numpy as np
import pytest
import torch
import transformers as hf
from architectures import OWN_MASKS, model_of
from conceptdepth.activations.above import Branch, Tails, Wholes, ways_above
from conceptdepth.activations.layouts import layouts_of
from conceptdepth.models.sites import blocks, decoder_of
from plain_passes import prompts
from test_architectures import NAMES

pytestmark = pytest.mark.usefixtures("one_thread")

TOLERANCE = 1e-5
"""Relative to the length of a vector, in float32, as of other passes."""

STEPS = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
"""What is added to vectors: the changes of each prompt."""


def by_hook(body: hf.PreTrainedModel, prompt: list[int], layer: int, first: int, step: np.ndarray) -> np.ndarray:
    """Return what the head would get at the last token, by PyTorch's own hook on a pass of the whole model."""

    def hook(module, arguments, output):
        states = output[0] if isinstance(output, tuple) else output
        changed = states.clone()
        rows = changed.view(-1, changed.shape[-1])  # A block may lay its rows end to end.
        rows[first:] += torch.from_numpy(step)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = blocks(body, "tiny")[layer].register_forward_hook(hook)
    try:
        with torch.inference_mode():
            return body(torch.tensor([prompt]), use_cache=False).last_hidden_state[0, -1].numpy()
    finally:
        handle.remove()


@pytest.mark.parametrize("name", NAMES)
def test_every_way_equals_a_hook_on_the_whole_model(name):
    body, tokens = decoder_of(model_of(name), name), [prompt for prompt in prompts(9) if len(prompt) > 3][:4]
    layers = [0, len(blocks(body, name)) - 1]
    layout = layouts_of(body)[0]
    ways = ways_above(layout, body, layers, name)
    assert [type(way) for way in ways] == ([Tails, Wholes] if layout.keeping else [Wholes])
    firsts = [len(prompt) - 1 - number % 3 for number, prompt in enumerate(tokens)]
    expected = {
        layer: np.array(
            [[by_hook(body, prompt, layer, first, step) for step in STEPS] for prompt, first in zip(tokens, firsts)]
        )
        for layer in layers
    }
    for way in ways[name in OWN_MASKS :]:
        trunks = list(way.trunks(tokens, capacity=60))
        assert sorted(np.concatenate([trunk.prompts for trunk in trunks])) == list(range(len(tokens)))
        for trunk, layer in product(trunks, layers):
            branches = [Branch(place, firsts[prompt]) for place, prompt in enumerate(trunk.prompts) for _ in STEPS]
            lengths = [len(trunk.tokens[branch.prompt]) - branch.first for branch in branches]
            steps = torch.from_numpy(np.repeat(np.tile(STEPS, (len(trunk.tokens), 1)), lengths, axis=0))
            states = trunk.outputs[layer][torch.from_numpy(trunk.rows(branches))] + steps
            found = way.ends(trunk, layer, branches, states).numpy()
            of_trunk = np.concatenate(expected[layer][trunk.prompts])
            difference = np.linalg.norm(found - of_trunk, axis=1) / np.linalg.norm(of_trunk, axis=1)
            assert difference.max() < TOLERANCE, (type(way).__name__, layer)
