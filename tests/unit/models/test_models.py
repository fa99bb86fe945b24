"""Models are fetched once, described by digest, loaded in every weight format, and let go when another comes."""

import json
import logging
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
import torch
import transformers as hf
from conceptdepth.activations.cell import Cell
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.store import open_activations
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import RANDOM
from conceptdepth.models import fetch as model_files
from conceptdepth.models.fetch import fetch_model
from conceptdepth.models.loaded import LoadedModels
from conceptdepth.models.loading import load_body, load_tokenizer, resolve_device
from conceptdepth.models.tokens import tokenize
from conceptdepth.models.weights import check_weights, model_folder, staged
from tiny_model import save_tiny_model
from tokenizers.processors import TemplateProcessing

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Llama with random weights and a word-level tokenizer."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def model_json(folder, tmp_path):
    fetch_model("tiny", {"path": str(folder)}, tmp_path / "model.json", None)
    return tmp_path / "model.json"


def test_a_local_folder_is_pointed_to_and_described(folder, model_json):
    description = json.loads(model_json.read_text())
    assert description["model_type"] == "llama"
    assert description["files"]["model.safetensors"]["bytes"] == (folder / "model.safetensors").stat().st_size
    assert model_folder(model_json) == folder


def test_a_folder_without_safetensors_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match=r"has no config.json with \*.safetensors"):
        fetch_model("x", {"path": str(tmp_path)}, tmp_path / "model.json", None)


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match="neither a folder of safetensors nor a GGUF"):
        fetch_model("x", {"path": str(tmp_path / "weights.bin")}, tmp_path / "out" / "model.json", None)
    assert not (tmp_path / "out" / "model.json").exists()


def test_weights_that_changed_since_they_were_fetched_are_not_loaded(model_json, folder):
    check_weights(model_json, ".")
    file = folder / "config.json"
    content = file.read_text()
    file.write_text(content + " ")
    with pytest.raises(UserError, match=r"config.json is not what was fetched; delete .*model.json and run again"):
        check_weights(model_json, ".")
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
    check_weights(model_json, ".", copy)
    (copy / "config.json").write_text("{}")
    with pytest.raises(UserError, match=rf"config.json is not what was fetched; delete {copy} and run again"):
        check_weights(model_json, ".", copy)
    check_weights(model_json, ".")


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


def test_a_gated_model_without_a_token_names_licence_page_and_variable(tmp_path, monkeypatch):
    """The hub's client is replaced: no hub can be reached here."""
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError

    def stub_download(*arguments, **options):
        request = httpx.Request("GET", "https://huggingface.co/x")
        raise GatedRepoError("401", response=httpx.Response(401, request=request))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", stub_download)
    with pytest.raises(
        UserError, match="owner/gated is gated; accept its licence at https://huggingface.co/owner/gated.*HF_TOKEN"
    ):
        fetch_model("x", {"hf": "owner/gated", "revision": "c" * 40}, tmp_path / "model.json", None)
    assert not (tmp_path / "model.json").exists()


def test_only_safetensors_are_asked_of_the_hub_and_jobs_find_them_offline(folder, tmp_path, monkeypatch):
    import huggingface_hub

    calls = []

    def stub_download(repo, *, revision, **options):
        calls.append(options)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", stub_download)
    fetch_model("x", {"hf": "owner/open", "revision": "c" * 40}, tmp_path / "model.json", None)
    assert calls == [{"allow_patterns": model_files.HUB_FILES}]
    assert not any("bin" in pattern or "pt" in pattern for pattern in model_files.HUB_FILES)
    assert model_folder(tmp_path / "model.json") == folder
    assert calls[-1] == {"local_files_only": True}


@pytest.fixture
def stub_hub(tmp_path, monkeypatch):
    """A stub of the hub's client, since no hub can be reached here: ``main`` is the last of its commits."""
    import huggingface_hub

    commits = []

    def stub_download(repo, *, revision, **options):
        commit = commits[-1] if revision == "main" else revision
        snapshot = tmp_path / "hub" / "snapshots" / commit
        save_tiny_model(snapshot, seed=commits.index(commit))
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", stub_download)
    return commits


def test_without_a_revision_main_is_resolved_once_and_held(stub_hub, tmp_path, caplog):
    stub_hub.append("a" * 40)
    destination = tmp_path / "model" / "model.json"

    def fetch(source):
        destination.unlink(missing_ok=True)  # As Snakemake does before a rule runs again.
        where = fetch_model("x", source, destination, None)
        assert json.loads(destination.read_text())["where"] == where
        return where["revision"]

    with caplog.at_level(logging.INFO):
        assert fetch({"hf": "owner/open"}) == "a" * 40
    assert f"`main` of owner/open is {'a' * 40}; delete the folder {destination.parent} to move on" in caplog.text
    held = json.loads(destination.read_text())
    stub_hub.append("b" * 40)
    assert fetch({"hf": "owner/open"}) == "a" * 40
    assert json.loads(destination.read_text()) == held
    assert fetch({"hf": "owner/open", "revision": "b" * 40}) == "b" * 40, "what the registry pins goes first"
    assert fetch({"hf": "owner/other"}) == "b" * 40, "what is held is one repository's commit"
    stub_hub.append("c" * 40)
    (destination.parent / model_files.HELD).unlink()
    assert fetch({"hf": "owner/open"}) == "c" * 40


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
    body = load_body(folder, quantization="fp32", device=CPU)
    tokens = tokenize(load_tokenizer(folder), PROMPTS)
    return residuals(body, tokens)


@pytest.mark.parametrize(("quantization", "most"), [("fp32", 0.0), ("bf16", 0.02), ("int8", 0.03), ("nf4", 0.25)])
def test_every_weight_format_is_close_to_float32(folder, exact, quantization, most):
    """Real bitsandbytes on the CPU. ``most`` bounds the relative error; each format but fp32 also has some."""
    body = load_body(folder, quantization=quantization, device=CPU)
    tokens = tokenize(load_tokenizer(folder), PROMPTS)
    found = residuals(body, tokens)
    error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert error <= most
    assert (error > 0) == (quantization != "fp32")


@pytest.mark.parametrize(("quantization", "kind"), [("int8", "Linear8bitLt"), ("nf4", "Linear4bit")])
def test_every_linear_layer_is_quantized(folder, quantization, kind):
    body = load_body(folder, quantization=quantization, device=CPU)
    linear = [module for module in body.modules() if isinstance(module, torch.nn.Linear)]
    assert len(linear) == 7 * body.config.num_hidden_layers
    assert {type(module).__name__ for module in linear} == {kind}


def test_random_weights_are_of_the_same_architecture_the_same_in_each_run_and_not_the_trained_ones(tmp_path):
    folder = tmp_path / "model"
    save_tiny_model(folder, seed=3)  # Stands for training: other weights than a model begins with at seed 0.
    tokens = tokenize(load_tokenizer(folder), PROMPTS)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (residuals(load_body(folder, quantization=RANDOM, device=CPU), tokens) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before), "nobody else's random numbers change"
    exact = residuals(load_body(folder, quantization="fp32", device=CPU), tokens)
    assert first.shape == exact.shape
    assert np.linalg.norm(first - exact) > 0.1 * np.linalg.norm(exact)


@pytest.mark.parametrize("memory", ["40KB", "150KB"])
def test_a_model_that_does_not_fit_is_spread_and_computes_the_same(folder, tmp_path, exact, memory):
    """Here from the processor's memory to the disk; from GPU to GPU it is the same code of accelerate."""
    body = load_body(folder, quantization="fp32", device=CPU, max_memory={"cpu": memory}, offload_folder=str(tmp_path))
    assert any(parameter.device.type == "meta" for parameter in body.parameters()), "some weights lie on the disk"
    tokens = tokenize(load_tokenizer(folder), PROMPTS)
    np.testing.assert_array_equal(residuals(body, tokens), exact)


def test_the_last_token_is_the_texts_own(folder):
    """A tokenizer that ends each prompt with a special token must not have that token probed."""
    tokenizer = load_tokenizer(folder)
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    (ids,) = tokenize(tokenizer, [PROMPTS[0]])
    assert tokenizer.convert_ids_to_tokens(ids) == ["<s>", *PROMPTS[0].split()]


def test_a_prompt_without_tokens_is_an_error(folder):
    with pytest.raises(UserError, match="'' has no tokens"):
        tokenize(load_tokenizer(folder), ["the city", ""])


def test_cells_share_a_loaded_model_and_another_model_replaces_it(model_json, tmp_path, caplog):
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"id": str(n), "prompt": text, "label": n % 2, "group": str(n)} for n, text in enumerate(PROMPTS)]
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
        np.testing.assert_array_equal(a["activations/residual"], d["activations/residual"])
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
