"""Models that are opened and vectors of texts, against the activation files of the same prompts."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import conceptdepth
import numpy as np
import pandas as pd
import pytest
import torch
from conceptdepth.activations.cell import Cell
from conceptdepth.activations.store import open_activations, read_labels, vectors_of
from conceptdepth.configuration.schema import defaults
from conceptdepth.datasets.prompts import render
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import SCRIPTS
from conceptdepth.ground.jsonl import write_jsonl
from conceptdepth.interface.extract import extract
from conceptdepth.interface.opened import FIXED_BATCH_TOKENS, open_model
from conceptdepth.models.fetch import fetch_model
from conceptdepth.models.loaded import LoadedModel, LoadedModels
from conceptdepth.models.positions import POSITIONS
from conceptdepth.models.sites import SITES
from conceptdepth.provenance.digest import code_files
from tiny_model import save_tiny_model

TEXTS = ["oslo is in norway", "oslo is in peru", "lima is in peru .", "the coin heads up"]
SPANS = ["oslo", "oslo", "lima", "coin heads"]
TEMPLATE = {"layout": "text_between", "prompt": "judge the statement ", "cue": "true or false ?"}
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for one in messages %} {{ one.content }}{% endfor %}{% if add_generation_prompt %} ?{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    (made / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    return made


@pytest.fixture(scope="module")
def opened(folder):
    torch.set_num_threads(1)
    with open_model(folder, device="cpu") as model:
        yield model


def written(tmp_path, folder, *, chat=None, **more):
    """The activation file of the texts, as a job writes it."""
    rows = [
        {"id": str(n), "text": text, "label": n % 2, "group": f"g{n}", "span": span}
        for n, (text, span) in enumerate(zip(TEXTS, SPANS))
    ]
    write_jsonl(tmp_path / "prompts.jsonl", [render(row, TEMPLATE, {}) for row in rows])
    fetch_model("tiny", {"path": str(folder)}, tmp_path / "model.json", None)
    cell = Cell(
        model=str(tmp_path / "model.json"), name="tiny", prompts=str(tmp_path / "prompts.jsonl"), chat=chat, rendering="chat",
        sites=list(SITES), positions=list(POSITIONS), device="cpu", threads=1, destination=str(tmp_path / "out.h5"), record="f" * 64,
        **{"quantization": "fp32", "batch_tokens": None, "fixed_batch_tokens": False} | more,
    )  # fmt: skip
    cell.carry_out(LoadedModels())
    return tmp_path / "out.h5"


@pytest.mark.parametrize(
    ("more", "given"), [({}, False), ({"chat": {"chat": True}}, True), ({"chat": {"chat": True, "system": "is it true"}}, {"system": "is it true"})]
)  # fmt: skip
def test_vectors_are_those_of_a_run_to_the_last_bit(tmp_path, folder, opened, more, given):
    found = extract(
        opened, TEXTS, sites=SITES, positions=list(POSITIONS), template=TEMPLATE, chat=given,
        ids=["0", "1", "2", "3"], labels=[0, 1, 0, 1], groups=["g0", "g1", "g2", "g3"], spans=SPANS,
    )  # fmt: skip
    with open_activations(written(tmp_path, folder, **more)) as file:
        expected, held = vectors_of(file, embedding=True), read_labels(file)
        assert {*found.arrays, *(("embedding", position) for position in found.embedding)} == expected.keys()
        for (site, position), vectors in expected.items():
            own = found.at(site=site, position=position)
            assert own.dtype == np.float32
            np.testing.assert_array_equal(own, vectors[:])
    for name in ("ids", "labels", "groups", "n_tokens"):
        np.testing.assert_array_equal(getattr(found, name), getattr(held, name))


def test_a_folder_of_a_run_is_opened_from_anywhere_with_the_bytes_that_it_names(tmp_path, monkeypatch, folder):
    """Its description names the weights from the folder of the workflow."""
    made = tmp_path / "workflow/results/models/mine"
    shutil.copytree(folder, made / "weights")
    monkeypatch.chdir(tmp_path / "workflow")
    fetch_model("mine", {"path": "results/models/mine/weights"}, made / "model.json", None)
    assert json.loads((made / "model.json").read_text())["where"] == {"folder": "results/models/mine/weights"}
    monkeypatch.chdir(tmp_path)
    with open_model(made, device="cpu") as model, open_model(folder, device="cpu") as plain:
        assert (model.name, model.n_layers, model.d_model) == ("mine", 3, 64)
        assert model.files == plain.files
        np.testing.assert_array_equal(extract(model, TEXTS).at(), extract(plain, TEXTS).at())
    with (made / "weights/config.json").open("a") as stream:
        stream.write(" ")
    with pytest.raises(
        UserError, match=rf"config\.json is not what was fetched; delete {made}/model\.json and run again"
    ):
        open_model(made, device="cpu")


def test_a_model_of_a_run_is_opened_after_its_results_were_renamed(tmp_path, monkeypatch, folder):
    shutil.copytree(folder, tmp_path / "results/models/mine/weights")
    monkeypatch.chdir(tmp_path)
    fetch_model("mine", {"path": "results/models/mine/weights"}, tmp_path / "results/models/mine/model.json", None)
    (tmp_path / "results").rename(tmp_path / "renamed")
    with open_model("renamed/models/mine", device="cpu") as model:
        assert model.n_layers == 3


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_without_what_runs_a_model_a_sentence_names_the_extra(folder, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    for use in (open_model, lambda source: extract(source, TEXTS)):
        with pytest.raises(
            UserError, match=rf"this takes {library}, which is not installed here; the extra \[models\]"
        ):
            use(folder)


def test_a_checkpoint_that_is_stored_as_int8_takes_the_tokens_of_a_pass(folder, monkeypatch):
    real = LoadedModel.load

    def load(self, request):
        real(self, request)
        self.real_format = "int8"

    monkeypatch.setattr(LoadedModel, "load", load)
    with pytest.raises(
        UserError, match="tiny: the checkpoint is stored as int8, .* open_model fixed_batch_tokens=4096"
    ):
        open_model(folder, weights="native", device="cpu")
    with open_model(folder, weights="native", device="cpu", fixed_batch_tokens=64) as model:
        assert (model.batch_tokens, model.fixed) == (64, True)
        assert extract(model, TEXTS).at().shape == (3, 4, 64)


def test_a_text_is_read_as_it_is_and_is_its_own_id(opened):
    found, around = extract(opened, TEXTS), extract(opened, TEXTS, template={"layout": "text_first", "prompt": "?"})
    assert found.ids.tolist() == TEXTS
    assert (found.labels, found.groups) == (None, None)
    assert (around.n_tokens - found.n_tokens).tolist() == [1] * len(TEXTS)


@pytest.mark.parametrize("choose", [lambda frame: frame.iloc[[2, 0, 3, 1]], lambda frame: frame[frame.index > 1]])
def test_columns_of_a_frame_go_by_their_places_and_not_by_its_index(opened, choose):
    frame = pd.DataFrame(
        {"text": TEXTS, "id": list("abcd"), "group": list("wxyz"), "label": [0, 0, 1, 1], "span": SPANS}
    )
    chosen = choose(frame)
    columns = {f"{name}s": chosen[name] for name in ("id", "group", "label", "span")}
    found = extract(opened, chosen["text"], positions=["span_last"], **columns)
    plain = {name: (value for value in column.tolist()) for name, column in columns.items()}
    listed = extract(opened, iter(chosen["text"].tolist()), positions=["span_last"], **plain)
    for name in ("id", "group", "label"):
        assert getattr(found, f"{name}s").tolist() == getattr(listed, f"{name}s").tolist() == chosen[name].tolist()
    every = extract(opened, TEXTS, positions=["span_last"], spans=SPANS).at(position="span_last")
    for one in (found, listed):
        np.testing.assert_allclose(one.at(position="span_last"), every[:, chosen.index], atol=1e-5)


def test_the_embedding_may_be_asked_for_alone_and_no_chat_is_none(opened):
    found, every = extract(opened, TEXTS, sites=["embedding"], chat=None), extract(opened, TEXTS)
    assert found.arrays == {}
    np.testing.assert_array_equal(found.at(site="embedding"), every.at(site="embedding"))
    assert list(extract(opened, TEXTS, sites=["embedding", "residual"]).arrays) == [("residual", "last")]


def test_without_torch_it_is_said_what_brings_it(monkeypatch, opened):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"this takes torch, which is not installed here; the extra \[models\]"):
        extract(opened, TEXTS)


def test_a_model_that_is_only_named_is_opened_for_the_call(opened, folder):
    np.testing.assert_array_equal(extract(str(folder), TEXTS[:2]).at(), extract(opened, TEXTS[:2]).at())


def test_int8_takes_the_tokens_of_a_pass_that_a_run_does():
    assert defaults()["activations"]["fixed_batch_tokens"] == FIXED_BATCH_TOKENS


def test_a_closed_model_says_so(folder):
    model = open_model(folder, device="cpu")
    model.close()
    with pytest.raises(UserError, match="tiny was closed; open it again"):
        extract(model, TEXTS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sites": ["mlp"]}, "sites: 'mlp' is no list of what exists; it may have mlp_input, residual"),
        ({"sites": "residual"}, "sites: 'residual' is no list"),
        ({"positions": []}, r"positions: \[\] is no list of what exists; it may have last, text_last"),
        ({"positions": ["span_last"]}, "span_last reads a part of each text; give `spans`"),
        ({"template": {"layout": "upside_down", "prompt": "x"}}, "it has a `layout` .prompt_first, text_first, text_between."),
        ({"template": {"prompt": "x"}}, "template: .* is none; it has a `layout`"),
        ({"template": "Judge: {}"}, "template: 'Judge: {}' is none; it has a `layout`"),
        ({"template": ["a"]}, r"template: \['a'\] is none; it has a `layout`"),
        ({"template": {"layout": "text_first", "prompt": None}}, "template: .* is none; it has a `layout`"),
        ({"chat": "system"}, "chat: 'system' is none; give True, False, or a mapping with texts for system, prefill"),
        ({"chat": {"system": 5}}, "chat: {'system': 5} is none; give True, False, or a mapping with texts"),
        ({"ids": ["a", None, "c", "d"]}, "ids: number 1 is missing; give one for each text"),
        ({"groups": ["a", "b", np.nan, "d"]}, "groups: number 2 is missing; give one for each text"),
        ({"groups": pd.array(["a", "b", "c", pd.NA])}, "groups: number 3 is missing; give one for each text"),
        ({"groups": {"a", "b"}}, "groups: {.*} is no list; give one for each of the 4 texts"),
        ({"labels": 1}, "labels: 1 is no list; give one for each of the 4 texts"),
        ({"texts": None}, "texts: give a list of at least one text"),
        ({"chat": {"user": "x"}}, "chat: 'user' does not exist; it may have system, prefill"),
        ({"ids": ["a"]}, "ids: there are 1 for 4 texts; give one for each"),
        ({"labels": [0, 1, 2, 0]}, "labels: give 0 or 1 for each of the 4 texts"),
        ({"spans": ["oslo", "lima", "lima", "coin"]}, "texts, number 1: the span 'lima' does not stand in the text"),
        ({"texts": []}, "texts: give a list of at least one text"),
        ({"texts": "oslo"}, "texts: give a list of at least one text"),
        ({"texts": ["oslo", " "]}, "texts, number 1: the text is empty"),
        ({"texts": ["oslo " * 200]}, "a prompt has 200 tokens, but tiny takes at most 128"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(opened, options, sentence):
    with pytest.raises(UserError, match=sentence):
        extract(opened, **{"texts": TEXTS} | options)


@pytest.mark.parametrize(
    ("source", "options", "sentence"),
    [
        ("nowhere", {}, "'nowhere' is neither a folder of a model, nor a GGUF file, nor a repository of the hub"),
        (".", {}, "there is no config.json, which says what model this is"),
        (
            "tiny",
            {"weights": "fp8"},
            "weights: 'fp8' does not exist; allowed are fp32, bf16, int8, nf4, native, random",
        ),
        ("tiny", {"fixed_batch_tokens": 0}, "fixed_batch_tokens: 0 is no number of tokens; give 1 or more"),
        ("tiny", {"device": "tpu"}, "device: 'tpu' does not exist; allowed are auto, cpu, cuda"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(folder, monkeypatch, source, options, sentence):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UserError, match=sentence):
        open_model(source, **{"device": "cpu"} | options)


# --- Names of the package ---------------------------------------------------------------------------------


def test_the_table_of_names_stands_behind_no_script():
    for script in sorted(SCRIPTS.glob("*.py")):
        assert not [path for path in code_files(script.name) if "interface" in path.parts], script


def test_the_package_has_all_names_and_imports_nothing_for_them():
    code = "import sys, conceptdepth; names = dir(conceptdepth); print(sorted({n.partition('.')[0] for n in sys.modules} & {'torch', 'numpy', 'h5py'}))"
    folder = Path(conceptdepth.__file__).parents[1]
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
    for name in conceptdepth.interface.INTERFACE:
        assert name in dir(conceptdepth)
        assert (
            getattr(conceptdepth, name).__module__ == f"conceptdepth.interface.{conceptdepth.interface.INTERFACE[name]}"
        )
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        conceptdepth.nothing  # noqa: B018
