"""Answers with vectors changed are those of a loop: one prompt, one layer and one change at a time, by a hook."""

import numpy as np
import pytest
import torch
from architectures import model_of
from conceptdepth.activations.changes import Changes
from conceptdepth.activations.effects import Asked, Asking
from conceptdepth.activations.layouts import layouts_of
from conceptdepth.ground.errors import NotWanted
from conceptdepth.models.sites import blocks, decoder_of

pytestmark = pytest.mark.usefixtures("one_thread")

ANSWERS = [[11, 12, 13], [21, 22]]
LAYERS = [0, 2]
TOLERANCE = 1e-4
"""Absolute, of log-odds in float32."""

ASKED = [
    Asked([1, 5, 6, 7, 8, 30, 31], np.array([4]), label=0, split=0),
    Asked([1, 5, 6, 9, 30, 31], np.array([1, 3]), label=1, split=1),
    Asked([1, 5, 6, 7, 8, 40, 30, 31], np.array([2, 3, 4, 5]), label=1, split=0),
]
"""Prompts that share beginnings, of which one token is changed, or several that need not be neighbours."""

NEUTRAL = [[1, 60, 61], [1, 62, 63, 64]]


@pytest.fixture
def changes():
    draw = np.random.default_rng(0)
    shape = (len(LAYERS), 2, 3)
    return Changes(
        read=draw.normal(size=(*shape, 32)).astype(np.float32) / 5,
        write=draw.normal(size=(*shape, 32)).astype(np.float32),
        at=draw.normal(size=(*shape, 2)).astype(np.float32),
        layers=np.array(LAYERS, np.int32),
        methods=["erase"] * 3,
        directions=["concept", "random_1", "concept"],
        statements=np.arange(3, dtype=np.int32),
        splits=np.array([0, 1, 0], np.int32),
        position="last",
    )


def probabilities(model, body, tokens, places=(), change=None, layer=0):
    """Return those of the next token, by PyTorch's own hook if vectors are changed."""

    def hook(module, arguments, output):
        states = (output[0] if isinstance(output, tuple) else output).clone()
        read, write, at = change
        for place in places:
            states[0, place] -= (states[0, place] @ read - at) * write
        return (states, *output[1:]) if isinstance(output, tuple) else states

    handle = blocks(body, "tiny")[layer].register_forward_hook(hook) if change else None
    with torch.inference_mode():
        logits = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
    if handle:
        handle.remove()
    return logits.double().softmax(0).numpy()


def said(found):
    no, yes = (found[tokens].sum() for tokens in ANSWERS)
    return np.log(yes / no), no + yes


@pytest.mark.parametrize("name", ["llama", "gemma2", "diffllama", "codegen", "qwen3_next"])
@pytest.mark.parametrize("batch_tokens", [12, 1000])
def test_answers_are_those_of_a_loop(name, batch_tokens, changes):
    model = model_of(name)
    body = decoder_of(model, name)
    asking = Asking(
        model, body, changes, ANSWERS, batch_tokens=batch_tokens, layout=layouts_of(body)[0], name=name
    )  # fmt: skip
    found = asking.ask(ASKED, NEUTRAL)
    for number, asked in enumerate(ASKED):
        expected = said(probabilities(model, body, asked.tokens))
        np.testing.assert_allclose((found.log_odds[number], found.mass[number]), expected, atol=TOLERANCE)
    for place, layer in enumerate(LAYERS):
        for way in range(3):

            def made(split, label, place=place, way=way):
                read, write = (torch.from_numpy(values[place, split, way]) for values in (changes.read, changes.write))
                return read, write, float(changes.at[place, split, way, label])

            for number, asked in enumerate(ASKED):
                change = made(asked.split, asked.label)
                log_odds, mass = said(probabilities(model, body, asked.tokens, asked.places, change, layer))
                assert found.changed_log_odds[place, way, number] == pytest.approx(log_odds, abs=TOLERANCE)
                if way in changes.of_concept:
                    own = changes.of_concept.tolist().index(way)
                    assert found.changed_mass[place, own, number] == pytest.approx(mass, abs=TOLERANCE)
            divergences = []
            for tokens in NEUTRAL:
                before = probabilities(model, body, tokens)
                after = probabilities(model, body, tokens, [len(tokens) - 1], made(0, 1), layer)
                divergences.append((before * np.log(before / after)).sum())
            assert found.divergence[place, way] == pytest.approx(np.mean(divergences), abs=TOLERANCE)


def test_nobody_waits_for_what_is_not_wanted(changes):
    model = model_of("llama")
    body = decoder_of(model, "llama")
    asking = Asking(
        model, body, changes, ANSWERS, batch_tokens=100, layout=layouts_of(body)[0], name="tiny", wanted=lambda: False
    )
    with pytest.raises(NotWanted):
        asking.ask(ASKED, NEUTRAL)


def test_a_way_that_is_not_exact_gives_way_to_whole_prompts(changes, monkeypatch, caplog):
    model = model_of("llama")
    body = decoder_of(model, "llama")

    def asking():
        return Asking(model, body, changes, ANSWERS, batch_tokens=100, layout=layouts_of(body)[0], name="tiny")

    expected = asking().ask(ASKED, NEUTRAL)
    monkeypatch.setattr("conceptdepth.activations.above.Tails.ends", lambda _, trunk, *__: torch.ones_like(trunk.last))
    with caplog.at_level("INFO"):
        found = asking().ask(ASKED, NEUTRAL)
    assert "keys and values cannot be kept; running whole prompts" in caplog.text
    np.testing.assert_allclose(found.changed_log_odds, expected.changed_log_odds, atol=TOLERANCE)
