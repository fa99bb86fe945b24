"""What blocks add to their stream is found in every architecture, or refused: the sums hold for what is extracted.

Places are held against the library's source where it was read, and against passes of one prompt at a time.
"""

import copy
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, combinations

import numpy as np
import pytest
import torch
from architectures import CLASSES, OWN_MASKS, PARALLEL, WITHOUT_MLP, WRAPPERS, built, configuration, model_of
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.layouts import MaskedTrees, layouts_of
from conceptdepth.activations.self_test import self_test
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.models import places
from conceptdepth.models.places import lie_deep, places_of, why_absent, words_of
from conceptdepth.models.sites import IN_STREAM, SITES, blocks, decoder_of
from plain_passes import prompts
from sites_of_architectures import PAGE, section

pytestmark = pytest.mark.usefixtures("one_thread")

TOLERANCE = 1e-5
"""Relative to the length of a vector, in float32."""

NAMES = [
    pytest.param(name, id=f"{kind}: {name}")
    for kind, names in {**CLASSES, "wrapper": WRAPPERS}.items()
    for name in names
]

SIDE_BY_SIDE = "its blocks run attention and MLP side by side"
NO_MLP = "its block 0 has no MLP beside attention (its parts are norm, mixer)"
NO_STREAM = (
    "its block 0 normalises or weighs the residual stream itself, or adds to it what none of its modules gives out"
)
BEFORE = "what its block 0 adds to the stream before its MLP is not found among its modules' outputs"

REFUSED = {
    **dict.fromkeys(PARALLEL, {"residual_mid": SIDE_BY_SIDE}),
    **dict.fromkeys(WITHOUT_MLP, dict.fromkeys(IN_STREAM, NO_MLP)),
    "opt, post-norm": dict.fromkeys(IN_STREAM, NO_STREAM),
    "minimax": {"attention_output": BEFORE},  # Its stream is normalised before attention's output is added to it.
}
"""By type, of those that lack one: site -> the reason."""


def refused(name, site, reason):
    return f"activations.sites: {name} has no {site}, because {reason}; use residual."


def absent(body, name="tiny"):
    return why_absent(body, IN_STREAM, [3, 4, 5, 6], name)


def present(body, name="tiny"):
    return [site for site in IN_STREAM if site not in absent(body, name)]


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def body(name):
    return decoder_of(model_of(name), name)


def read(body, tokens, sites, name="tiny", **settings):
    n_layers, d_model = shape(body, name)
    into = {
        site: np.full((1 if site == EMBEDDING else n_layers, len(tokens), d_model), np.nan, np.float32)
        for site in sites
    }
    extract(body, tokens, into=into, name=name, **{"batch_tokens": 70} | settings)
    return into


def off(found, expected):
    """Return the largest difference, relative to the length of the expected vector."""
    return (np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)).max()


def alone(body, tokens, sites):
    """Read the places with hooks of this file's own, one prompt at a time: by site (n_layers, n_prompts, d_model)."""
    each = [alone_at(body, prompt, sites) for prompt in tokens]
    return {site: np.stack([one[site] for one in each], axis=1) for site in sites}


def alone_at(body, prompt, sites):
    """Return by site what each block has there at the last token, (n_layers, d_model): of several modules the sum."""
    found = {site: np.zeros(shape(body, "tiny")) for site in sites}
    handles = []

    def watch(site, layer, module, is_input):
        def add(states):
            found[site][layer] += states.reshape(-1, states.shape[-1])[-1].float().numpy()

        def before(_, given, named):
            add((*given, *named.values())[0])

        def after(_, given, output):
            add(output[0] if isinstance(output, tuple) else output)

        return (
            module.register_forward_pre_hook(before, with_kwargs=True)
            if is_input
            else module.register_forward_hook(after)
        )

    for layer, (block, where) in enumerate(zip(blocks(body, "tiny"), places_of(body, sites, "tiny"))):
        for site, at in where.items():
            for path in (at.module, *at.beside):
                handles.append(watch(site, layer, block.get_submodule(path), at.is_input))
    with torch.inference_mode():
        body(torch.tensor([prompt]), use_cache=False)
    for handle in handles:
        handle.remove()
    return found


def test_each_model_has_the_sites_or_says_why_not(body, name):
    expected = {site: refused(name, site, reason) for site, reason in REFUSED.get(name, {}).items()}
    assert absent(body, name) == expected


def test_what_is_read_is_what_each_prompt_gives_alone_and_makes_the_stream(body, name):
    """The sums of the definition, layer by layer, of vectors as they are stored."""
    tokens, sites = prompts(7), present(body)
    expected, layout = alone(body, tokens, sites), MaskedTrees() if name in OWN_MASKS else layouts_of(body)[0]
    for batch_tokens in (24, 1000) if sites else ():
        found = read(body, tokens, [EMBEDDING, "residual", *sites], batch_tokens=batch_tokens, layout=layout)
        for site in sites:
            assert off(found[site], expected[site]) < TOLERANCE, site
        check_sums(body, found)


@pytest.mark.parametrize("kind", ["llama", "phi", "mpt", "gemma4_text", "granitemoehybrid"])
def test_the_self_test_is_of_the_sites_that_are_wanted(kind):
    body = decoder_of(model_of(kind), kind)
    settings = {"quantization": "fp32", "batch_tokens": 70, "name": kind}
    done = self_test(model_of(kind), body, prompts(3), more=IN_STREAM, **settings)
    assert set(done.differences) & set(IN_STREAM) == set(present(body))
    assert max(found.max() for found in done.differences.values()) < TOLERANCE
    assert not set(IN_STREAM) & set(self_test(model_of(kind), body, prompts(3), **settings).differences)


def check_sums(body, found):
    before = np.concatenate([found[EMBEDDING], found["residual"][:-1]])
    for layer, at in enumerate(places_of(body, [site for site in IN_STREAM if site in found], "tiny")):
        start, end = before[layer], found["residual"][layer]
        mid = found["residual_mid"][layer] if "residual_mid" in found else None
        if mid is None:  # Side by side.
            assert off(start + found["attention_output"][layer] + found["mlp_output"][layer], end) < TOLERANCE
            continue
        for site, stream, total in (("attention_output", start, mid), ("mlp_output", mid, end)):
            if site in at and not at[site].then:
                summed = at[site].of_stream * stream + at[site].share * found[site][layer]
                assert off(summed, total) < TOLERANCE, (layer, site)
                assert off(stream, total) > 1e-3, "something is added"


def test_places_in_16_bits_are_those_in_32(body, name):
    if name == "xlstm":
        pytest.skip("its own code computes in float32 and in 16 bits at once, which PyTorch refuses")
    half = copy.deepcopy(body).to(torch.bfloat16)
    sites = present(body)
    assert list(absent(half, name)) == list(absent(body, name))
    where = [
        [(at[site].module, at[site].is_input, at[site].beside) for site in sites] for at in places_of(half, sites, name)
    ]
    assert where == [
        [(at[site].module, at[site].is_input, at[site].beside) for site in sites] for at in places_of(body, sites, name)
    ]


SOURCES = {
    "llama": ("output of self_attn", "input of post_attention_layernorm", "output of mlp"),
    "gemma2": (
        "output of post_attention_layernorm", "input of pre_feedforward_layernorm", "output of post_feedforward_layernorm",
    ),
    "olmo2": ("output of post_attention_layernorm", "input of mlp", "output of post_feedforward_layernorm"),
    "glm4": ("output of post_self_attn_layernorm", "input of post_attention_layernorm", "output of post_mlp_layernorm"),
    "gpt2": ("output of attn", "input of ln_2", "output of mlp"),
    "opt": ("output of self_attn", "input of final_layer_norm", "output of fc2"),
    "mpt": ("output of attn", "input of norm_2", "output of ffn.down_proj"),
    "bloom": ("output of self_attention.dense", "output of self_attention", "output of mlp.dense_4h_to_h"),
    "granite": ("output of self_attn", "input of post_attention_layernorm", "output of mlp"),
    "phi": ("output of self_attn", None, "output of mlp"),
    "falcon": ("output of self_attention", None, "output of mlp"),
    "lfm2": ("output of conv, or output of self_attn", "input of ffn_norm", "output of feed_forward"),
    "granitemoehybrid": (
        "output of mamba, or output of self_attn", "input of post_attention_layernorm",
        "output of block_sparse_moe plus shared_mlp",
    ),
    "falcon_h1": ("output of mamba plus self_attn", "input of pre_ff_layernorm", "output of feed_forward"),
    "minicpm3": (
        "output of self_attn, of which 0.7 is added", "input of post_attention_layernorm",
        "output of mlp, of which 0.7 is added",
    ),
    "gemma4_text": (
        "output of post_attention_layernorm", "input of pre_feedforward_layernorm",
        "output of post_feedforward_layernorm, before what per_layer_input_gate begins is added",
    ),
}  # fmt: skip
"""By type: where the source of transformers adds attention and MLP, and what gets the stream between both."""


@pytest.mark.parametrize("name", SOURCES)
def test_places_are_those_of_the_source(name):
    body = decoder_of(model_of(name), name)
    for site, words in zip(("attention_output", "residual_mid", "mlp_output"), SOURCES[name]):
        if words:
            assert words_of(places_of(body, [site], name), site) == words


@pytest.mark.parametrize(
    "kind", ["llama", "gemma2", "olmo2", "granite", "bloom", "mpt", "opt", "phi", "falcon", "minicpm3"]
)
def test_a_long_stream_hides_no_place_in_16_bits(kind):
    """As of large models, in which single values of the stream are thousands of times those that are added."""
    config = configuration(kind)
    if kind == "granite":
        config.residual_multiplier = 0.22
    body = decoder_of(built(config), kind)
    expected = places_of(body, present(body), kind)
    long = decoder_of(built(config), kind).to(torch.bfloat16)
    embedding = long.get_input_embeddings().weight
    embedding.data *= 300
    embedding.data[:, 5] *= 100
    assert places_of(long, present(body), kind) == expected


def scaled(kind, change, **settings):
    """Return a small model without its head whose configuration and weights are changed from those of a new one."""
    config = configuration(kind)
    for key, value in settings.items():
        setattr(config, key, value)
    body = decoder_of(built(config), kind)
    for block in blocks(body, kind):
        change(block)
    return body


def nothing(block):
    pass


def weighs_the_stream(block):
    block.input_residual.data.uniform_(0.5, 1)


def weighs_what_is_added(block):
    block.post_attention_residual_scale.hidden_states_scale.data.uniform_(0.5, 1)


def scales_all(block):
    block.layer_scalar.fill_(0.5)


MULTIPLIED = {
    "granite": (scaled, "granite", nothing, {"residual_multiplier": 0.22}),
    "granitemoehybrid": (scaled, "granitemoehybrid", nothing, {"residual_multiplier": 0.246}),
    "granitemoeshared": (
        scaled,
        "granitemoeshared",
        nothing,
        {"residual_multiplier": 0.3, "shared_intermediate_size": 16},
    ),
    "hyperclovax": (scaled, "hyperclovax", nothing, {"residual_multiplier": 0.5}),
    "minicpm3": (scaled, "minicpm3", nothing, {"scale_depth": 0.5}),
    "gemma4_unified_text": (scaled, "gemma4_unified_text", scales_all, {}),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", MULTIPLIED)
def test_what_is_multiplied_before_it_is_added_is_found_with_its_factor(case, dtype):
    make, *given, settings = MULTIPLIED[case]
    body = make(*given, **settings).to(dtype)
    factors = {
        round(at["mlp_output"].share, 2 if dtype == torch.bfloat16 else 4)
        for at in places_of(body, ["mlp_output"], case)
    }
    known = {"minicpm3": 0.25, "gemma4_unified_text": 0.5}.get(case) or settings["residual_multiplier"]
    assert factors == {round(known, 2 if dtype == torch.bfloat16 else 4)}
    if dtype == torch.float32:
        check_sums(body, read(body, prompts(3), [EMBEDDING, "residual", *IN_STREAM]))


@pytest.mark.parametrize("scale", [False, True])
def test_a_third_thing_that_is_added_is_no_output_of_the_mlp(scale):
    """Gemma 4 adds what a gate makes of embeddings of its own, behind the MLP, and scales the sum."""
    body, tokens, seen = scaled("gemma4_text", scales_all if scale else nothing), prompts()[:1], []
    found = read(body, tokens, IN_STREAM)
    for block in blocks(body, "tiny"):
        block.per_layer_input_gate.register_forward_pre_hook(lambda _, given: seen.append(given[0][0, -1].numpy()))
    with torch.inference_mode():
        body(torch.tensor(tokens), use_cache=False)
    assert off(found["residual_mid"][:, 0] + found["mlp_output"][:, 0], np.stack(seen)) < TOLERANCE


class Gated(torch.nn.Module):
    """A block of Llama that weighs what it adds by the stream, in its own forward."""

    def __init__(self, block):
        super().__init__()
        self.input_layernorm, self.self_attn = block.input_layernorm, block.self_attn
        self.post_attention_layernorm, self.mlp = block.post_attention_layernorm, block.mlp

    def forward(self, states, **named):
        states = states + self.self_attn(self.input_layernorm(states), **named)[0] * states.sigmoid()
        return states + self.mlp(self.post_attention_layernorm(states)) * states.sigmoid()


class Unseen(Gated):
    """A block whose stream between attention and MLP no module gets: it normalises by itself."""

    def forward(self, states, **named):
        states = states + self.self_attn(self.input_layernorm(states), **named)[0]
        scaled = states * torch.rsqrt(states.square().mean(-1, keepdim=True) + 1e-6)
        return states + self.mlp(scaled)


class Negative(Gated):
    """A block that subtracts what attention gives out: it is found, with its sign."""

    def forward(self, states, **named):
        states = states - self.self_attn(self.input_layernorm(states), **named)[0]
        return states + self.mlp(self.post_attention_layernorm(states))


def of_blocks(kind):
    body = decoder_of(built(configuration("llama")), "tiny")
    body.layers = torch.nn.ModuleList(kind(block) for block in body.layers)
    return body


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_that_do_something_unknown_are_refused(dtype):
    assert absent(of_blocks(Gated).to(dtype)) == {site: refused("tiny", site, NO_STREAM) for site in IN_STREAM}


def test_a_stream_that_no_module_gets_is_not_there():
    """What is added to it is: nothing says that the blocks are parallel."""
    body = of_blocks(Unseen)
    reason = "no module of its block 0 gets or gives the stream between attention and MLP"
    assert absent(body) == {"residual_mid": refused("tiny", "residual_mid", reason)}
    assert places_of(body, ["mlp_output"], "tiny")[0]["mlp_output"].words() == "output of mlp"


def test_what_is_subtracted_is_said_to_be():
    body = of_blocks(Negative)
    assert places_of(body, ["attention_output"], "tiny")[0]["attention_output"].share == -1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("kind", "change", "settings", "lacking"),
    [
        ("doge", weighs_the_stream, {}, ["attention_output"]),
        ("zaya", weighs_what_is_added, {}, ["attention_output"]),
        ("falcon_h1", nothing, {"ssm_out_multiplier": 0.3, "attention_out_multiplier": 0.7}, ["attention_output"]),
    ],
)
def test_what_is_weighed_by_more_than_one_number_is_refused(kind, change, settings, lacking, dtype):
    """By learned vectors (Doge, ZAYA), or attention and the state space beside it by two numbers (Falcon-H1)."""
    body = scaled(kind, change, **settings).to(dtype)
    assert list(absent(body)) == lacking
    assert absent(body)["attention_output"] == refused("tiny", "attention_output", BEFORE)


def subsets():
    return chain.from_iterable(combinations(SITES, number) for number in (1, 2))


@pytest.mark.parametrize("kind", ["gemma2", "olmo2", "bloom"])
def test_a_pass_ends_when_all_that_is_wanted_is_there_and_no_later(kind):
    """In whatever order sites are named, and where two are read at one place, as the stream that OLMo 2's MLP gets."""
    body = decoder_of(built(configuration(kind)), kind)
    everything, ended = read(body, prompts(), SITES), []
    norm = [module for path, module in body.named_children() if "norm" in path or path == "ln_f"][-1]
    norm.register_forward_hook(lambda *given: ended.append(given))
    for sites in subsets():
        for order in (sites, sites[::-1]):
            found = read(body, prompts(), order)
            for site in order:
                np.testing.assert_array_equal(found[site], everything[site])
    assert not ended


@pytest.mark.parametrize("kind", ["falcon", "gpt_neox, parallel", "phi", "gptj", "cohere"])
def test_passes_of_parallel_blocks_end_in_any_order(kind):
    body = decoder_of(model_of(kind), kind)
    sites = ["attention_output", "mlp_output"]
    together = read(body, prompts(), sites)
    for order in (sites[:1], sites[1:], sites[::-1], ["residual", *sites]):
        found = read(body, prompts(), order)
        for site in set(sites) & set(order):
            np.testing.assert_array_equal(found[site], together[site])


def test_places_are_looked_for_once_and_only_where_they_are_asked_for(monkeypatch):
    told, right = [], places._look
    monkeypatch.setattr(places, "_look", lambda *given: told.append(given) or right(*given))
    body = decoder_of(built(configuration("llama")), "tiny")
    read(body, prompts(), ["mlp_input", "residual"])
    assert not told
    for sites in (["residual_mid"], ["mlp_output", "residual"], SITES):
        read(body, prompts(), sites)
    assert len(told) == 1


def test_what_was_found_keeps_no_model():
    body = decoder_of(built(configuration("llama")), "tiny")
    places_of(body, IN_STREAM, "tiny")
    left = weakref.ref(body)
    del body
    gc.collect()
    assert left() is None


def test_threads_may_look_while_others_run_the_model():
    """Each thread reads its own prompts, of a model that nobody has looked at."""
    body = decoder_of(built(configuration("granitemoehybrid")), "tiny")
    draw = np.random.default_rng(2)
    given = [[draw.integers(3, 97, 20).tolist() for _ in range(20)] for _ in range(4)]

    def one(tokens):
        torch.set_num_threads(1)
        return read(body, tokens, SITES, batch_tokens=40)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(one, given))
    for tokens, found in zip(given, together):
        for site, expected in one(tokens).items():
            np.testing.assert_array_equal(found[site], expected)


def test_modules_inside_the_parts_of_a_block_are_known():
    """What is compiled cannot be read inside."""
    deep = {kind: lie_deep(decoder_of(model_of(kind), kind), IN_STREAM, kind) for kind in ("llama", "mpt", "bloom")}
    assert deep == {"llama": False, "mpt": True, "bloom": True}


def test_the_page_has_the_table_of_sites():
    assert section() in PAGE.read_text("utf-8"), "run tests/sites_of_architectures.py"
