"""Every architecture of transformers that can be built small: what is read is what the plain model computes.

The output names each by its class, as in ``norm before the MLP: olmoe``. The references are passes of the library
itself, one prompt at a time and padded, and the norm that its source has before the MLP.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from architectures import (
    AS_THEY_ARE,
    CLASSES,
    NORMS,
    OWN_ATTENTION,
    OWN_MASKS,
    PARALLEL,
    POST_NORMS,
    VARIANTS,
    WITHOUT_MLP,
    WRAPPERS,
    built,
    configuration,
    encoders_with_decoders,
    model_of,
)
from conceptdepth.activations.answers import score
from conceptdepth.activations.extraction import extract, last_states, shape
from conceptdepth.activations.layouts import EqualLengths, Layout, MaskedTrees, Trees, layouts_of
from conceptdepth.activations.self_test import self_test
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.models.architectures import READ_BOTH_WAYS, SEVERAL_STREAMS, why_refused
from conceptdepth.models.head import Head
from conceptdepth.models.sites import blocks, decoder_of, why_no_mlp_input
from plain_passes import one_by_one, plain_forward, plain_states, prompts
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[3]

TOLERANCE = 1e-5
"""Relative to the length of a vector, in float32: another order of additions gives up to 4e-6."""

ANSWERS = [[11, 12, 13], [21, 22]]
"""Tokens of the words of both classes."""

NAMES = [
    pytest.param(name, id=f"{kind}: {name}")
    for kind, names in {**CLASSES, "wrapper": WRAPPERS}.items()
    for name in names
]


@pytest.fixture(scope="module", params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def body(name) -> hf.PreTrainedModel:
    return decoder_of(model_of(name), name)


def layout_for(body: hf.PreTrainedModel, name: str) -> Layout:
    """Return the layout that the self-test finds."""
    return MaskedTrees() if name in OWN_MASKS else layouts_of(body)[0]


def sites_of(name: str) -> list[str]:
    return ["residual"] if name in PARALLEL or name in WITHOUT_MLP else ["mlp_input", "residual"]


def assert_close(found, expected):
    for site, vectors in expected.items():
        lengths = np.linalg.norm(vectors, axis=2)
        assert (np.linalg.norm(found[site] - vectors, axis=2) / lengths).max() < TOLERANCE, site


def extracted(body, tokens, name, **settings):
    n_layers, d_model = shape(body, name)
    found = {site: np.full((n_layers, len(tokens), d_model), np.nan, np.float32) for site in sites_of(name)}
    extract(body, tokens, into=found, name=name, **{"batch_tokens": 70, "layout": layout_for(body, name)} | settings)
    return found


@pytest.mark.parametrize("common", [0, 17])
def test_what_is_read_is_what_each_prompt_gives_alone(body, name, common):
    """With windows of six tokens, where the type has windows."""
    tokens = prompts(common)
    expected = one_by_one(body, tokens, sites_of(name))
    for batch_tokens in (24, 70, 1000):
        assert_close(extracted(body, tokens, name, batch_tokens=batch_tokens), expected)


def test_what_is_read_is_what_padded_batches_give(body, name):
    tokens = prompts(3)
    found = extracted(body, tokens, name)
    assert_close(found, plain_forward(body, tokens, "right", sites_of(name)))
    if name not in AS_THEY_ARE:  # What reads from left to right reads the padding, too.
        assert_close(found, plain_forward(body, tokens, "left", sites_of(name)))


def test_trees_are_given_to_those_that_can_take_them(body, name):
    if name in AS_THEY_ARE:
        assert layouts_of(body) == [EqualLengths()]
    elif name in OWN_ATTENTION:
        assert layouts_of(body) == [MaskedTrees(), EqualLengths()]
    else:
        first, *others = layouts_of(body)
        assert isinstance(first, Trees)
        assert others == [MaskedTrees(), EqualLengths()]


def test_the_self_test_passes_and_says_how(body, name):
    done = self_test(model_of(name), body, prompts(3), quantization="fp32", batch_tokens=70, name=name)
    assert done.layout == layout_for(body, name)
    assert set(done.differences) == {EMBEDDING, *sites_of(name)}
    assert max(values.max() for values in done.differences.values()) < TOLERANCE
    assert ("mlp_input" not in done.absent) == ("mlp_input" in sites_of(name))


def test_logits_of_kept_states_are_those_of_the_model(body, name):
    model, tokens = model_of(name), prompts(3)
    with torch.inference_mode():
        expected = torch.stack([model(torch.tensor([prompt]), use_cache=False).logits[0, -1] for prompt in tokens])
    states = last_states(body, tokens, batch_tokens=70, layout=layout_for(body, name), name=name)
    found = Head(model, body).logits(torch.from_numpy(states))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def with_last_block_giving(body, states):
    """Let the last block give out other states than its own, whatever it computes: as a naive lens would."""

    def instead(module, arguments, output):
        mine = states.reshape((output[0] if isinstance(output, tuple) else output).shape)
        return (mine, *output[1:]) if isinstance(output, tuple) else mine

    return blocks(body, "tiny")[-1].register_forward_hook(instead)


def test_the_lens_is_the_whole_model_whose_last_block_gives_out_each_layer(body, name):
    """Of each prompt alone, with logits of all its tokens and words; at the last layer it is the model's own answer."""
    model, tokens, (no, yes) = model_of(name), prompts(3), ANSWERS
    found = score(model, tokens, ANSWERS, batch_tokens=70, layout=layout_for(body, name), name=name)
    assert found.lens[-1].tolist() == found.log_odds.tolist()
    for number in (0, 3, 8):
        ids, seen = torch.tensor([tokens[number]]), plain_states(body, [tokens[number]], "residual")[0]
        with torch.inference_mode():
            for layer, states in enumerate(map(torch.from_numpy, seen)):
                handle = with_last_block_giving(body, states)
                logits = model(ids, use_cache=False).logits[0, -1].double()
                handle.remove()
                expected = logits[yes].logsumexp(0) - logits[no].logsumexp(0)
                np.testing.assert_allclose(
                    found.lens[layer, number], expected, atol=2e-4, rtol=1e-4, err_msg=str(layer)
                )


class Listener:
    """What modules of each block give out at the last token of one prompt."""

    def __init__(self, body, path):
        self.found = []
        with torch.inference_mode():
            handles = [
                block.get_submodule(path).register_forward_hook(
                    lambda module, arguments, output: self.found.append(
                        output.reshape(-1, output.shape[-1])[-1].numpy()
                    )
                )
                for block in blocks(body, "tiny")
            ]
            body(torch.tensor([prompts()[0]]), use_cache=False)
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", [pytest.param(name, id=f"norm before the MLP: {name}") for name in NORMS])
def test_mlp_input_is_the_output_of_the_norm_that_the_source_has_there(name):
    body = decoder_of(model_of(name), name)
    found = extracted(body, [prompts()[0]], name)["mlp_input"][:, 0]
    np.testing.assert_allclose(found, np.stack(Listener(body, NORMS[name]).found), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [pytest.param(name, id=f"post-norm: {name}") for name in POST_NORMS])
def test_mlp_input_without_a_norm_is_the_stream_after_attention(name):
    body = decoder_of(model_of(name), name)
    n_layers, d_model = shape(body, name)
    into = {
        "mlp_input": np.empty((n_layers, 1, d_model), np.float32),
        "residual": np.empty((n_layers, 1, d_model), np.float32),
    }
    into |= {EMBEDDING: np.empty((1, 1, d_model), np.float32)}
    extract(body, [prompts()[0]], into=into, batch_tokens=70, name=name)
    before = np.concatenate([into[EMBEDDING], into["residual"][:-1]])[:, 0]
    added = np.stack(Listener(body, POST_NORMS[name]).found)
    np.testing.assert_allclose(into["mlp_input"][:, 0], before + added, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", PARALLEL)
def test_parallel_blocks_have_no_mlp_input(name):
    said = why_no_mlp_input(decoder_of(model_of(name), name), [3, 4, 5, 6], name)
    assert said == (
        f"activations.sites: {name} has no mlp_input, because its blocks run attention and MLP side by side; use residual."
    )


@pytest.mark.parametrize("name", WITHOUT_MLP)
def test_blocks_without_an_mlp_have_no_mlp_input(name):
    said = why_no_mlp_input(decoder_of(model_of(name), name), [3, 4, 5, 6], name)
    assert "has no MLP beside attention (its parts are norm, mixer); use residual." in said


STREAMS = "keeps several residual streams, of which none is what `residual` means"
NOT_CAUSAL = "is no causal language model: its layers see what comes after a token, or another text"
REFUSED = {
    **dict.fromkeys(sorted(SEVERAL_STREAMS), STREAMS),
    **dict.fromkeys([*sorted(READ_BOTH_WAYS), *encoders_with_decoders()], NOT_CAUSAL),
    **dict.fromkeys(("vit", "clip", "timesformer"), "is no causal language model of transformers"),
    "shazam": f"is not known to transformers {hf.__version__}",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_refused_by_its_config(kind):
    config = {"model_type": kind, "is_encoder_decoder": kind in encoders_with_decoders()}
    assert why_refused(config) == REFUSED[kind]


def test_what_is_refused_by_name_is_not_refused_where_it_reads_one_way():
    assert why_refused({"model_type": "bert", "is_decoder": True}) is None


def test_documents_say_how_many_architectures_are_tested_and_refused():
    tested = {VARIANTS.get(name, (name, {}))[0] for names in CLASSES.values() for name in names}
    refused = [kind for kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if kind in REFUSED]
    counts = (len(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES), len(tested), len(WRAPPERS), len(refused))
    words = {
        "docs/limits.md": "transformers 5.23 has {} causal types; {} of them, and {} wrappers of text and images",
        "docs/models.md": "small random models of {1} types of transformers 5.23 and {2} wrappers of text and images",
        "CHANGELOG.md": "{1} types of transformers and {2} wrappers of text and images",
    }
    for path, said in words.items():
        assert said.format(*counts) in " ".join((ROOT / path).read_text().split()), path
    assert f"{len(refused)} are refused by their name or config" in " ".join(
        (ROOT / "docs/limits.md").read_text().split()
    )
    assert hf.__version__.startswith("5.23.")


@pytest.mark.parametrize("kind", ["deepseek_v4", "hy_v4"])
def test_several_streams_are_seen_in_the_blocks_too(kind):
    """Of an architecture that no table has, the shape of what blocks hand on tells."""
    model = built(configuration(kind))
    with pytest.raises(UserError, match=r"hand on \(1, \d+, 4, 32\) values for 1 x \d+ tokens of width 32"):
        self_test(model, decoder_of(model, kind), prompts(), quantization="fp32", batch_tokens=70, name=kind)


@pytest.mark.parametrize("kind", ["roberta", "bert"])
def test_a_model_that_looks_ahead_fails_its_self_test(kind):
    model = built(configuration(kind))
    with pytest.raises(UserError, match=f"{kind!r} is not supported, because it is not causal: what comes after"):
        self_test(model, decoder_of(model, kind), prompts(), quantization="fp32", batch_tokens=70, name=kind)


@pytest.mark.parametrize("kind", ["hrm_text"])
def test_an_architecture_without_one_list_of_blocks_is_refused(kind):
    with pytest.raises(UserError, match=f"{kind!r} is not supported, because it has no one list of blocks"):
        decoder_of(built(configuration(kind)), kind)


def layout_and_log(kind, caplog):
    """Return the layout that the self-test finds for a type that is given trees first, and what the log says."""
    model = built(configuration(kind))
    body = decoder_of(model, kind)
    assert layouts_of(body)[0] == Trees()
    with caplog.at_level("INFO"):
        done = self_test(model, body, prompts(), quantization="fp32", batch_tokens=70, name=kind)
    return done.layout, caplog.text


def test_trees_that_the_rules_allow_and_the_model_takes_wrong_are_found_out(caplog):
    """Moshi takes what it is given, and makes something else of it."""
    layout, log = layout_and_log("moshi", caplog)
    assert layout == EqualLengths()
    assert "moshi, laid out as prefix trees, fails its self-test by" in log
    assert "moshi, laid out as prefix trees with masks, fails its self-test by" in log


@pytest.mark.parametrize("kind", sorted(OWN_MASKS))
def test_trees_that_a_model_does_not_take_are_given_to_it_with_masks(caplog, kind):
    layout, log = layout_and_log(kind, caplog)
    assert layout == MaskedTrees()
    assert f"{kind} does not take prefix trees (RuntimeError: The size of tensor a (0) must match" in log
