"""Models are found where they were fetched to, loaded in every weight format, and let go when another comes."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from conceptdepth.activations.answers import score
from conceptdepth.activations.cell import Cell
from conceptdepth.activations.extraction import extract, last_states, shape
from conceptdepth.activations.layouts import Trees
from conceptdepth.activations.self_test import self_test
from conceptdepth.activations.store import open_activations
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import RANDOM
from conceptdepth.models.devices import resolve_device
from conceptdepth.models.fetch import fetch_model
from conceptdepth.models.head import Head
from conceptdepth.models.loaded import LoadedModels
from conceptdepth.models.loading import load_model, load_tokenizer
from conceptdepth.models.sites import decoder_of
from conceptdepth.models.tokens import tokenize
from conceptdepth.models.weights import checked_weights, model_folder, staged
from tiny_model import save_tiny_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Llama with random weights and a word-level tokenizer."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def model_json(folder, tmp_path):
    fetch_model("tiny", {"path": str(folder)}, tmp_path / "model.json", None)
    return tmp_path / "model.json"


def check_weights(model_json, copy=None) -> None:
    with checked_weights(model_json, copy):
        pass


def test_weights_that_changed_since_they_were_fetched_are_not_loaded(model_json, folder):
    check_weights(model_json)
    file = folder / "config.json"
    content = file.read_text()
    file.write_text(content + " ")
    with pytest.raises(UserError, match=r"config.json is not what was fetched; delete .*model.json and run again"):
        check_weights(model_json)
    file.write_text(content)


def test_weights_are_copied_to_the_scratch_folder_once(model_json, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path))
    copy = staged(model_json, "$NODE_DISK")
    assert copy.parent == tmp_path
    names = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert names == {name: (folder / name).read_bytes() for name in json.loads(model_json.read_text())["files"]}
    before = {path: path.stat().st_mtime_ns for path in copy.iterdir()}
    assert staged(model_json, str(tmp_path)) == copy
    assert {path: path.stat().st_mtime_ns for path in copy.iterdir()} == before
    check_weights(model_json, copy)
    (copy / "config.json").write_text("{}")
    with pytest.raises(UserError, match=rf"config.json is not what was fetched; delete {copy} and run again"):
        check_weights(model_json, copy)
    check_weights(model_json)


def test_a_scratch_folder_that_is_none_or_is_full_is_named(model_json, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"execution.scratch: \$NOWHERE is not a folder on"):
        staged(model_json, "$NOWHERE")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(UserError, match=r"execution.scratch: .* cannot be copied to .* \(No space left on device\)"):
        staged(model_json, str(tmp_path))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".lock"}


def test_weights_that_are_gone_are_an_error(model_json, folder, tmp_path):
    description = json.loads(model_json.read_text())
    description["where"]["folder"] = str(tmp_path / "nowhere")
    model_json.write_text(json.dumps(description))
    with pytest.raises(UserError, match="are gone; delete .*model.json and run again"):
        model_folder(model_json)


def test_device_that_is_absent_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert resolve_device("auto") == CPU
    with pytest.raises(UserError, match="sees no GPU"):
        resolve_device("cuda")


PROMPTS = ["the city of oslo is in norway .", "the city of lima is in peru .", "the coin is heads up ."]


def residuals(body, tokens) -> np.ndarray:
    n_layers, d_model = shape(body, "tiny")
    found = np.full((n_layers, len(tokens), d_model), np.nan, np.float32)
    extract(body, tokens, into={"residual": found}, batch_tokens=64, name="tiny")
    return found


@pytest.fixture(scope="module")
def exact(folder):
    body = load_model(folder, quantization="fp32", device=CPU).base_model
    tokens = tokenize(load_tokenizer(folder), PROMPTS)
    return residuals(body, tokens)


@pytest.mark.parametrize(("quantization", "most"), [("fp32", 0.0), ("bf16", 0.02), ("int8", 0.03), ("nf4", 0.25)])
def test_every_weight_format_is_close_to_float32(folder, exact, quantization, most):
    """Real bitsandbytes on the CPU. ``most`` bounds the relative error; each format but fp32 also has some."""
    body = load_model(folder, quantization=quantization, device=CPU).base_model
    tokens = tokenize(load_tokenizer(folder), PROMPTS)
    found = residuals(body, tokens)
    error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert error <= most
    assert (error > 0) == (quantization != "fp32")


@pytest.mark.parametrize(("quantization", "kind"), [("int8", "Linear8bitLt"), ("nf4", "Linear4bit")])
def test_every_linear_layer_is_quantized(folder, quantization, kind):
    body = load_model(folder, quantization=quantization, device=CPU).base_model
    linear = [module for module in body.modules() if isinstance(module, torch.nn.Linear)]
    assert len(linear) == 7 * body.config.num_hidden_layers
    assert {type(module).__name__ for module in linear} == {kind}


def test_random_weights_are_of_the_same_architecture_the_same_in_each_run_and_not_the_trained_ones(tmp_path):
    folder = tmp_path / "model"
    save_tiny_model(folder, seed=3)  # Stands for training: other weights than a model begins with at seed 0.
    tokens = tokenize(load_tokenizer(folder), PROMPTS)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (
        residuals(load_model(folder, quantization=RANDOM, device=CPU).base_model, tokens) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before), "nobody else's random numbers change"
    exact = residuals(load_model(folder, quantization="fp32", device=CPU).base_model, tokens)
    assert first.shape == exact.shape
    assert np.linalg.norm(first - exact) > 0.1 * np.linalg.norm(exact)


@pytest.mark.parametrize("memory", ["40KB", "150KB"])
def test_a_model_that_does_not_fit_is_spread_and_computes_the_same(folder, tmp_path, exact, memory):
    """Here from the processor's memory to the disk; from GPU to GPU it is the same code of accelerate."""
    body = load_model(
        folder, quantization="fp32", device=CPU, max_memory={"cpu": memory}, offload_folder=str(tmp_path)
    ).base_model
    assert any(parameter.device.type == "meta" for parameter in body.parameters()), "some weights lie on the disk"
    tokens = tokenize(load_tokenizer(folder), PROMPTS)
    np.testing.assert_array_equal(residuals(body, tokens), exact)


def test_a_spread_model_is_tested_and_speaks_as_a_whole_one(folder, tmp_path):
    spread = load_model(
        folder, quantization="fp32", device=CPU, max_memory={"cpu": "40KB"}, offload_folder=str(tmp_path)
    )
    tokens = tokenize(load_tokenizer(folder), PROMPTS)
    logits, layers = [], []
    for model in (spread, load_model(folder, quantization="fp32", device=CPU)):
        body = decoder_of(model, "tiny")
        done = self_test(model, body, tokens, quantization="fp32", batch_tokens=64, name="tiny")
        assert done.layout == Trees()
        states = torch.from_numpy(last_states(body, tokens, batch_tokens=64, name="tiny"))
        logits.append(Head(model, body).logits(states))
        layers.append(score(model, tokens, [[3], [4, 5]], batch_tokens=64, name="tiny").lens)
    torch.testing.assert_close(*logits)
    np.testing.assert_allclose(*layers, atol=1e-4)


def test_cells_share_a_loaded_model_and_another_model_replaces_it(model_json, tmp_path, caplog):
    prompts = tmp_path / "prompts.jsonl"
    rows = [
        {"id": str(n), "prompt": text, "label": n % 2, "group": str(n), "text_at": [0, len(text)]}
        for n, text in enumerate(PROMPTS)
    ]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = LoadedModels()

    def cell(quantization: str, destination: str) -> Cell:
        return Cell(
            model=str(model_json), name="tiny", quantization=quantization, prompts=str(prompts), sites=["residual"],
            batch_tokens=64, fixed_batch_tokens=False, device="cpu", threads=1, destination=str(tmp_path / destination),
                record="an id",
        )  # fmt: skip

    with caplog.at_level(logging.INFO):
        for quantization, destination in (("fp32", "a.h5"), ("fp32", "b.h5"), ("bf16", "c.h5"), ("fp32", "d.h5")):
            cell(quantization, destination).carry_out(loaded)
    told = [record.message.split(" in ")[0] for record in caplog.records if "loaded" in record.message]
    assert told == [
        "loaded tiny as fp32 on cpu", "tiny as fp32 was loaded already", "loaded tiny as bf16 on cpu", "loaded tiny as fp32 on cpu",
    ]  # fmt: skip
    with open_activations(tmp_path / "a.h5") as a, open_activations(tmp_path / "d.h5") as d:
        np.testing.assert_array_equal(a["activations/residual/last"], d["activations/residual/last"])
        assert a.attrs["quantization"] == "fp32"
        assert a.attrs["record"] == "conceptdepth:record:an id"
        assert json.loads(a.attrs["versions"])["torch"].startswith(torch.__version__.split("+")[0])


def test_a_real_gguf_is_converted_and_opens(tmp_path):
    """The embedded model, if a run has fetched it: its conversion must answer as the model should."""
    folder = Path(__file__).parents[3] / "results" / "models" / "smollm2-135m" / "weights"
    if not folder.is_dir():
        pytest.skip("no run has fetched the embedded model yet (make run)")
    tokenizer = load_tokenizer(folder)
    model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = tokenizer("The city of Paris is in the country of", return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=1, do_sample=False)[0, -1]
    assert tokenizer.decode(answer) == " France"
