"""Exported probes: which one is loaded, what it decides, how texts are presented to it, and what steering tools get."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers as hf
from conceptdepth.ground.errors import UserError
from conceptdepth.interface.bank import load_probe
from conceptdepth.interface.extract import extract
from conceptdepth.interface.folders import CARD, PROBES
from conceptdepth.interface.opened import open_model
from conceptdepth.interface.sound import LINEAR
from conceptdepth.interface.steering import DEVIATIONS, TrainedSplit, hook_points, steering, write_lm_eval, write_plain
from conceptdepth.probes.estimators import KINDS
from conceptdepth.provenance.record import sealed
from exported import ACCURACIES, CURVES, SEEDS, TEMPLATE, WIDTH, write_folder
from safetensors import safe_open
from safetensors.numpy import load_file
from tiny_model import save_tiny_model

TEXTS = ["oslo is in norway", "oslo is in peru", "lima is in peru .", "the coin heads up"]
FIRST = "mlp_input/last/logistic_regression/concept"


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "cell")
    return tmp_path / "cell"


def change(folder, edit):
    """Edit a card, which then is whole again."""
    card = json.loads((folder / CARD).read_text())
    edit(card)
    (folder / CARD).write_text(json.dumps(sealed(card)))


# --- Which probe ------------------------------------------------------------------------------------------


def test_by_default_it_is_the_first_curve_at_its_best_layer_and_the_mean_of_all_splits(folder):
    tensors = load_file(folder / PROBES)
    probe = load_probe(folder)
    assert (probe.site, probe.position, probe.probe, probe.target) == CURVES[0]
    assert (probe.layer, probe.seeds, probe.accuracy, probe.interval) == (1, SEEDS, 0.75, (0.6, 0.8))
    assert (probe.classes, probe.record) == (("true", "false"), "f" * 64)
    vectors = np.random.default_rng(1).normal(size=(5, WIDTH))
    decided = [
        vectors @ tensors[f"{FIRST}/seed_{seed}/directions"][1] + tensors[f"{FIRST}/seed_{seed}/intercepts"][1]
        for seed in SEEDS
    ]
    np.testing.assert_allclose(probe.decide(vectors), np.mean(decided, axis=0), rtol=0, atol=1e-12)
    for seed, own in zip(SEEDS, decided):
        np.testing.assert_allclose(load_probe(folder, seed=seed).decide(vectors), own, rtol=0, atol=1e-12)
        assert (load_probe(folder, seed=seed).accuracy, load_probe(folder, seed=seed).interval) == (
            ACCURACIES[str(seed)][1],
            None,
        )
    assert probe.decide(vectors[0]).shape == ()


def test_a_control_is_of_the_layer_at_which_the_concept_is_told_best(folder):
    assert load_probe(folder, target="shuffled_labels").layer == 1


def test_classes_of_a_control_have_no_names_of_the_concept(folder):
    assert load_probe(folder, target="shuffled_labels").classes == ("class 0", "class 1")
    assert load_probe(folder, probe="mass_mean", target="partial_out").classes == ("true", "false")


def test_a_probe_is_shown_on_one_line(folder):
    assert repr(load_probe(folder)) == (
        "Probe(logistic_regression, layer 1 of mlp_input at last, concept of claims, accuracy 0.75)"
    )


def test_numbers_of_numpy_are_numbers(folder):
    probe = load_probe(folder, layer=np.int64(2), seed=np.int32(2))
    assert (probe.layer, probe.seeds) == (2, (2,))


def test_each_part_of_a_name_can_be_asked_for(folder):
    tensors = load_file(folder / PROBES)
    probe = load_probe(folder, site="residual", layer=2, seed=2)
    np.testing.assert_array_equal(probe.direction, tensors["residual/last/mass_mean/concept/seed_2/directions"][2])
    assert load_probe(folder, probe="mass_mean").site == "residual"


def test_what_is_left_without_nuisances_has_a_direction_and_decides_nothing(folder):
    probe = load_probe(folder, probe="mass_mean", target="partial_out")
    assert (probe.direction.shape, probe.interval) == ((WIDTH,), None)
    with pytest.raises(UserError, match="was trained on vectors without what nuisances tell"):
        probe.decide(np.zeros(WIDTH))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"layer": 3}, "has layers 0 to 2 and seeds 1, 2 of this probe"),
        ({"layer": -1}, "has layers 0 to 2"),
        ({"seed": 3}, "has layers 0 to 2 and seeds 1, 2"),
        ({"layer": 1.0}, "layer: 1.0 is no whole number; give one, or leave it out"),
        ({"seed": [1, 2]}, r"seed: \[1, 2\] is no whole number; give one"),
        (
            {"site": "residual_mid"},
            "has no such probe; it has mlp_input, last, logistic_regression, concept; mlp_input,",
        ),
    ],
)
def test_what_it_does_not_have_is_one_sentence(folder, options, sentence):
    with pytest.raises(UserError, match=sentence):
        load_probe(folder, **options)


def test_vectors_of_another_width_are_refused(folder):
    with pytest.raises(UserError, match=r"reads 6 numbers of a vector; these have \(2, 7\)"):
        load_probe(folder).decide(np.zeros((2, 7)))


def test_the_embedding_is_taken_only_if_it_is_asked_for(tmp_path):
    write_folder(tmp_path / "cell", curves=[("embedding", *CURVES[0][1:]), CURVES[0]])
    assert load_probe(tmp_path / "cell").site == "mlp_input"
    assert load_probe(tmp_path / "cell", site="embedding").site == "embedding"


# --- What is no such folder -------------------------------------------------------------------------------


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: shutil.rmtree(folder), "there is no folder "),
        (lambda folder: (folder / CARD).unlink(), "is no folder of exported probes of format version 1"),
        (lambda folder: (folder / CARD).write_text("{}"), "is no folder of exported probes"),
        (lambda folder: change(folder, lambda card: card.update(format_version=2)), "of format version 1"),
        (lambda folder: (folder / PROBES).unlink(), "probes.safetensors is damaged, or not what was exported"),
        (lambda folder: flip(folder / PROBES), "probes.safetensors is damaged"),
        (lambda folder: (folder / CARD).write_text((folder / CARD).read_text().replace("judge", "Judge")), "card.json is damaged"),
        (lambda folder: change(folder, lambda card: card["dataset"].update(classes=["one"])), "card.json: there are not two classes, which no"),
        (lambda folder: change(folder, lambda card: card["curves"][0].update(peak_layer=3)), "curves, number 0: it has not a number for each"),
        (lambda folder: change(folder, lambda card: card["model"].update(d_model=7)), "probes.safetensors is damaged"),
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_folder_is_one_sentence(folder, damage, sentence):
    load_probe(folder)
    damage(folder)
    with pytest.raises(UserError, match=sentence):
        load_probe(folder)


def test_a_bank_names_its_folders(tmp_path):
    for name in ("one", "two"):
        write_folder(tmp_path / f"tiny/fp32/{name}.clean")
    for place in (tmp_path, tmp_path / "tiny"):
        with pytest.raises(
            UserError, match=rf"is a bank, not one of its folders; name one: {tmp_path}/tiny/fp32/one\.clean, "
        ):
            load_probe(place)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda card: card["rendering"]["template"].update(layout="x"), "rendering.template cannot be put around"),
        (lambda card: card["rendering"]["template"].pop("prompt"), "rendering.template cannot be put around"),
        (lambda card: card["rendering"]["template"].update(prompt="\ud800"), "rendering.template cannot be put around"),
        (lambda card: card["rendering"].update(perturbation={"prepend": [1]}), "rendering.perturbation has more than"),
        (lambda card: card["rendering"].update(perturbation={"prepend": ["a"], "seed": "1"}), "rendering.perturbation"),
        (lambda card: card["rendering"].update(chat={"chat": True, "system": 5}), "rendering.chat has more than"),
        (lambda card: card["rendering"].update(chat={"chat": True, "user": "x"}), "rendering.chat has more than"),
        (
            lambda card: card["model"].update(fixed_batch_tokens=-5),
            "model.fixed_batch_tokens is neither null nor from 1 to",
        ),
        (
            lambda card: card["model"].update(fixed_batch_tokens=0),
            "model.fixed_batch_tokens is neither null nor from 1 to",
        ),
        (lambda card: card["model"].update(n_layers=10), "curves, number 0: it has not a number for each layer"),
        (lambda card: card["cell"].update(model="\x1b[2J"), "a name has characters that cannot be shown"),
        (lambda card: card.update(curves=[]), "there are no curves"),
        (
            lambda card: card["curves"][0]["accuracy"].__setitem__(1, float("nan")),
            "curves, number 0: an accuracy is not from 0 to 1",
        ),
        (
            lambda card: card["curves"][0]["low"].__setitem__(1, 10**400),
            "curves, number 0: an accuracy is not from 0 to 1",
        ),
        (lambda card: card["curves"][0].update(site="../../etc"), "curves, number 0: the site is none of mlp_input"),
        (lambda card: card["curves"][0].update(position="\x1b"), "curves, number 0: the position is none of last"),
        (lambda card: card["curves"][0].update(probe="mlp"), "curves, number 0: the probe is none of logistic_reg"),
        (lambda card: card["curves"][0].update(target="x"), "curves, number 0: the target is none of concept"),
        (
            lambda card: card["curves"][0].update(seeds=[1, 1]),
            "curves, number 0: the seeds are not those of `accuracy_by_seed`",
        ),
    ],
)
def test_a_card_that_no_export_writes_is_one_sentence_though_it_is_sealed(folder, edit, sentence):
    change(folder, edit)
    with pytest.raises(UserError, match=f"card.json: {sentence}.*, which no export writes; ask who gave it to you"):
        load_probe(folder)


def test_the_probes_that_have_a_direction_are_those_that_a_run_can_train():
    assert {*LINEAR, "mlp"} == KINDS.keys()


def places(value, path=()):
    """Yield the path of every value of a card."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


ODD = [
    None,
    True,
    -1,
    0,
    2,
    10**400,
    0.5,
    float("nan"),
    "",
    "\x1b[2J",
    "\ud800",
    "x" * 5000,
    [],
    [1],
    ["a"],
    {},
    {"a": 1},
]


def test_whatever_a_stranger_seals_is_applied_or_answered_by_a_sentence(tmp_path, opened):
    write_folder(
        tmp_path / "cell", width=64, model=of(opened),
        rendering={"perturbation": {"prepend": ["oslo ", "lima "], "seed": 1}, "chat": {"chat": True, "system": "true ?"}},
    )  # fmt: skip
    whole = (tmp_path / "cell" / CARD).read_text()
    whole_card = json.loads(whole)
    answers, said = {"read": 0, "sentence": 0}, []
    for *where, last in places(whole_card):
        for odd in ODD:
            card = json.loads(whole)
            inner = card
            for key in where:
                inner = inner[key]
            inner[last] = odd
            (tmp_path / "cell" / CARD).write_text(json.dumps(sealed(card)))
            try:
                probe = load_probe(tmp_path / "cell")
                if card["rendering"] != whole_card["rendering"] or card["model"] != whole_card["model"]:
                    probe.score(TEXTS[:1], opened)
                answers["read"] += 1
            except UserError as error:
                answers["sentence"] += 1
                said.append(str(error))
    assert min(answers.values()) > 100, answers
    assert [sentence for sentence in said if not sentence.isprintable() or len(sentence) > 1000] == []


# --- New texts --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    torch.set_num_threads(1)
    made = save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    (made / "chat_template.jinja").write_text("{% for one in messages %}{{ one.content }} {% endfor %}?")
    with open_model(made, device="cpu") as model:
        yield model


def of(model):
    return {"files": model.files}


@pytest.mark.parametrize(
    ("rendering", "template", "chat"),
    [
        ({}, TEMPLATE, False),
        ({"chat": {"chat": True, "system": "is it true ."}}, TEMPLATE, {"system": "is it true ."}),
        (
            {"template": {"layout": "text_first", "prompt": "true ?"}},
            {"layout": "text_first", "prompt": "true ?"},
            False,
        ),
    ],
)
def test_texts_are_presented_as_the_run_presented_its_statements(tmp_path, opened, rendering, template, chat):
    write_folder(tmp_path / "cell", width=64, model=of(opened), rendering=rendering)
    probe = load_probe(tmp_path / "cell")
    vectors = extract(opened, TEXTS, template=template, chat=chat).at()[probe.layer]
    np.testing.assert_allclose(
        probe.score(TEXTS, opened), vectors @ probe.direction + probe.intercept, rtol=0, atol=1e-9
    )


def test_noise_is_drawn_by_the_id_and_by_the_text_where_there_is_none(tmp_path, opened):
    noise = {"prepend": ["lima ", "paris ", "peru "], "seed": 3}
    write_folder(tmp_path / "cell", width=64, model=of(opened), rendering={"perturbation": noise})
    probe = load_probe(tmp_path / "cell")
    texts = ["oslo is in norway"] * 8
    assert len(np.unique(probe.score(texts, opened).round(9))) == 1
    by_id = probe.score(texts, opened, ids=list(map(str, range(8))))
    assert len(np.unique(by_id.round(9))) == 3
    np.testing.assert_allclose(probe.score(texts[:1], opened, ids=["5"]), by_id[5:6], rtol=0, atol=1e-4)


def test_the_embedding_and_spans_are_read(tmp_path, opened):
    curves = [("embedding", "span_last", "mass_mean", "concept"), ("residual", "span_mean", "mass_mean", "concept")]
    write_folder(tmp_path / "cell", width=64, model=of(opened), curves=curves)
    spans = ["oslo", "oslo is", "lima", "coin heads"]
    found = extract(
        opened, TEXTS, sites=["residual"], positions=["span_last", "span_mean"], template=TEMPLATE, spans=spans
    )
    for site, position, layer in (("embedding", "span_last", 0), ("residual", "span_mean", 2)):
        probe = load_probe(tmp_path / "cell", site=site, layer=layer)
        expected = found.at(site=site, position=position)[layer] @ probe.direction + probe.intercept
        np.testing.assert_allclose(probe.score(TEXTS, opened, spans=spans), expected, rtol=0, atol=1e-9)
    with pytest.raises(UserError, match="span_mean reads a part of each text"):
        probe.score(TEXTS, opened)


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"weights": "int8"}, "the weight format is fp32, and the probe's is int8"),
        ({"files": {"model.safetensors": "0" * 64}}, r"its model\.safetensors is another"),
        ({"files": {}}, r"its model\.safetensors is another"),
    ],
)
def test_a_model_that_is_not_the_probes_is_refused(tmp_path, opened, own, sentence):
    write_folder(tmp_path / "cell", width=64, model=of(opened) | own)
    with pytest.raises(
        UserError, match=f"tiny is not the model of this probe, tiny: {sentence}; open that one, or apply"
    ):
        load_probe(tmp_path / "cell").score(TEXTS, opened)


def test_the_name_of_a_model_is_not_a_model(folder):
    with pytest.raises(UserError, match="'tiny' is no opened model; open it with open_model"):
        load_probe(folder).score(TEXTS, "tiny")


# --- Steering ---------------------------------------------------------------------------------------------


@pytest.fixture
def planted():
    """Vectors of which class 1 lies further along an axis of each layer, and coefficients of two splits near it."""
    draw = np.random.default_rng(0)
    labels = np.tile([0, 1], 20).astype(np.int8)
    vectors = draw.normal(size=(3, 40, 64)).astype(np.float32)
    for layer in range(3):
        vectors[layer, labels == 1, layer] += 4
    weights = np.zeros((3, 65))
    weights[range(3), range(3)] = 5
    splits = [
        TrainedSplit(
            weights + 0.1 * draw.normal(size=weights.shape),
            np.arange(first, 40, 2) // 4 * 4 + draw.integers(4, size=20),
        )
        for first in range(2)
    ]
    return splits, vectors, labels


def test_directions_are_unit_means_of_units_towards_class_1(planted):
    splits, vectors, labels = planted
    found = steering(splits, vectors, labels)
    for layer in range(3):
        weights = [split.coefficients[layer, :-1] for split in splits]
        units = [each / np.linalg.norm(each) for each in weights]
        mean = np.mean(units, axis=0)
        np.testing.assert_allclose(found.directions[layer], mean / np.linalg.norm(mean), atol=1e-12)
        along = [vectors[layer, split.test].astype(float) @ unit for split, unit in zip(splits, units)]
        classes = [labels[split.test] for split in splits]
        assert found.deviations[layer] == pytest.approx(np.mean([each.std() for each in along]))
        gaps = [each[of == 1].mean() - each[of == 0].mean() for each, of in zip(along, classes)]
        assert found.gaps[layer] == pytest.approx(np.mean(gaps))
        assert 3 < found.gaps[layer] < 5


def test_where_there_is_nothing_to_tell_classes_are_not_apart_along_what_was_trained():
    """They are if vectors count along directions that were trained on them."""
    draw = np.random.default_rng(1)
    labels = np.tile([0, 1], 100).astype(np.int8)
    vectors = draw.normal(size=(1, 200, 400)).astype(np.float32)
    splits = []
    for seed in range(3):
        test, train = np.split(np.random.default_rng(seed).permutation(200), [80])
        own = vectors[0, train]
        weights = own[labels[train] == 1].mean(axis=0) - own[labels[train] == 0].mean(axis=0)
        splits.append(TrainedSplit(np.append(weights, 0)[None], test))
    found = steering(splits, vectors, labels)
    along = vectors[0] @ found.directions[0]
    assert along[labels == 1].mean() - along[labels == 0].mean() > 2 * along.std() / 1.5
    assert abs(found.gaps[0]) < 0.5 * found.deviations[0]


def test_the_plain_file_has_a_vector_for_each_layer(tmp_path, planted):
    found = steering(*planted)
    write_plain(tmp_path / "plain.safetensors", found, {"site": "residual"})
    written = load_file(tmp_path / "plain.safetensors")
    assert {name: vector.shape for name, vector in written.items()} == {f"layer.{n}": (64,) for n in range(3)}
    np.testing.assert_array_equal(written["layer.2"], found.directions[2].astype(np.float32))
    with safe_open(tmp_path / "plain.safetensors", framework="numpy") as file:
        assert file.metadata() == {"site": "residual"}


def test_the_file_for_lm_evaluation_harness_moves_the_output_of_its_block_by_the_step(tmp_path, opened, planted):
    """Applied as the docstring of its class `SteeredModel` (0.4.13) says: added to what the module of that name gives."""
    found = steering(*planted)
    checkpoint = save_tiny_model(tmp_path / "tiny")
    hooks = hook_points(checkpoint, "tiny", trust_remote_code=False)
    assert hooks == ["layers.0", "layers.1", "layers.2"]
    write_lm_eval(tmp_path / "step.pt", found, 1, hooks[1])
    ((hook, step),) = torch.load(tmp_path / "step.pt", weights_only=True).items()
    assert step.keys() == {"steering_vector", "steering_coefficient", "action", "bias", "head_index"}
    assert (step["action"], step["bias"], step["head_index"]) == ("add", None, None)
    assert step["steering_coefficient"] == pytest.approx(DEVIATIONS * found.deviations[1])
    causal = hf.AutoModelForCausalLM.from_pretrained(checkpoint).eval()
    before = extract(opened, TEXTS[:1], sites=["residual"]).at(site="residual")[1, 0]
    added = step["steering_coefficient"] * step["steering_vector"]
    handle = dict(causal.base_model.named_modules())[hook].register_forward_hook(
        lambda module, given, output: output + added
    )
    with torch.inference_mode():
        tokens = torch.tensor(opened.loaded.tokens(TEXTS[:1]))
        after = causal(tokens, output_hidden_states=True).hidden_states[2][0, -1].numpy()
    handle.remove()
    np.testing.assert_allclose(after - before, added.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "first"), [(hf.GPT2Config, "h.0"), (hf.GPTNeoXConfig, "layers.0"), (hf.OPTConfig, "decoder.layers.0")]
)
def test_hooks_are_named_from_the_base_model(tmp_path, kind, first):
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 30}
    if kind is hf.OPTConfig:
        small |= {"ffn_dim": 32, "word_embed_proj_dim": 16}
    hf.AutoModelForCausalLM.from_config(kind(**small)).save_pretrained(tmp_path)
    assert hook_points(tmp_path, "small", trust_remote_code=False)[0] == first
