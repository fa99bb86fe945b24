"""Models are fetched once, decided on before their weights come, compared with what the hub says, and described."""

import json
import logging
from pathlib import Path

import pytest
from conceptdepth.ground.errors import UserError
from conceptdepth.models.fetch import HELD, fetch_model
from conceptdepth.models.weights import model_folder
from stub_hub import StubHub, git, sha256
from tiny_model import save_tiny_model

A, B, C = ("a" * 40, "b" * 40, "c" * 40)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The files of a model as a repository has them, by name, with some that no run needs."""
    folder = save_tiny_model(tmp_path_factory.mktemp("tiny"))
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return files | {
        "README.md": b"# A model",
        "consolidated.safetensors": b"the weights again",
        "pytorch_model.bin": b"pickle",
        "onnx/config.json": b"{}",
        "tokenization_own.py": b"raise SystemExit",
    }


NEEDED = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture
def stub_hub(monkeypatch, tmp_path):
    hub = StubHub()
    hub.use(monkeypatch, tmp_path / "cache")
    yield hub
    hub.close()


@pytest.fixture
def fetch(tmp_path):
    """Fetch as the rule does: its output is gone before it runs again."""

    def run(source=None, **options):
        destination = tmp_path / "model" / "model.json"
        destination.unlink(missing_ok=True)
        description = fetch_model("x", source or {"hf": "owner/open", "revision": A}, destination, None, **options)
        assert json.loads(destination.read_text()) == description
        return description

    return run


def test_of_a_repository_only_what_is_needed_is_fetched(stub_hub, fetch, model):
    stub_hub.commits[A] = model
    assert list(fetch()["files"]) == NEEDED
    assert sorted(stub_hub.sent) == NEEDED
    stub_hub.sent.clear()
    assert list(fetch(trust_remote_code=True)["files"]) == sorted([*NEEDED, "tokenization_own.py"])
    assert stub_hub.sent == ["tokenization_own.py"], "what is in the cache stays there"


def test_every_file_is_compared_with_what_the_hub_says_of_it(stub_hub, fetch, model):
    stub_hub.commits[A] = model
    description = fetch()
    files = description["files"]
    weights = sha256(model["model.safetensors"])
    assert files["model.safetensors"]["sha256"] == weights
    assert files["model.safetensors"]["hub"] == f"sha256:{weights}"
    assert files["tokenizer.json"]["hub"] == f"git:{git(model['tokenizer.json'])}"
    assert description["compared"] == {"git": 4, "sha256": 1}


@pytest.mark.parametrize(
    ("file", "kind"), [("model.safetensors", "sha256"), ("tokenizer.json", "git"), ("config.json", "git")]
)
def test_bytes_that_are_not_the_hubs_are_refused_and_can_be_fetched_again(stub_hub, fetch, model, tmp_path, file, kind):
    """The client takes bytes of the right number for the right bytes."""
    stub_hub.commits[A] = model
    stub_hub.corrupted.add(file)
    with pytest.raises(UserError, match=rf"models\.x: {file} of owner/open has the {kind} hash") as refused:
        fetch()
    assert not (tmp_path / "model" / "model.json").exists()
    assert file in stub_hub.sent
    assert ("model.safetensors" in stub_hub.sent) == (file != "config.json")
    Path(str(refused.value).partition("; delete ")[2].removesuffix(" and run again.")).unlink()
    stub_hub.corrupted.clear()
    assert list(fetch()["files"]) == NEEDED


def test_nothing_large_is_fetched_of_what_is_refused(stub_hub, fetch, model):
    config = json.loads(model["config.json"]) | {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    stub_hub.commits[A] = {**model, "config.json": json.dumps(config).encode()}
    with pytest.raises(
        UserError, match=r"the checkpoint is stored as gptq, but run\.quantizations asks for fp32, nf4;"
    ):
        fetch(formats=["fp32", "native", "nf4"])
    assert stub_hub.sent == ["config.json"]
    assert list(fetch(formats=["native"])["files"]) == NEEDED


def test_pickled_weights_are_refused_before_anything_is_fetched(stub_hub, fetch, model):
    stub_hub.commits[A] = {name: content for name, content in model.items() if name != "model.safetensors"}
    with pytest.raises(UserError, match=r"models\.x\.source: the weights are pickled \(pytorch_model\.bin\)"):
        fetch()
    assert not stub_hub.sent


def test_weights_in_parts_are_those_of_their_index(stub_hub, fetch, model):
    files = {name: content for name, content in model.items() if name != "model.safetensors"}
    weight_map = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    files |= {"model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode()}
    files |= dict.fromkeys([*weight_map.values(), "old.safetensors"], b"weights")
    stub_hub.commits[A] = files
    assert {file for file in fetch()["files"] if file.endswith(".safetensors")} == set(weight_map.values())
    stub_hub.commits[B] = {name: content for name, content in files.items() if name != weight_map["b"]}
    with pytest.raises(UserError, match=rf"names {weight_map['b']}, which is not there; complete the checkpoint"):
        fetch({"hf": "owner/open", "revision": B})


def test_a_gated_model_without_a_token_names_licence_page_and_variable(stub_hub, fetch, model, tmp_path):
    stub_hub.commits[A] = model
    stub_hub.gated = True
    with pytest.raises(
        UserError, match="owner/open is gated; accept its licence at https://huggingface.co/owner/open.*HF_TOKEN"
    ):
        fetch()
    assert not (tmp_path / "model" / "model.json").exists()


def test_a_commit_that_is_none_and_a_hub_that_is_away_are_sentences(stub_hub, fetch, model):
    stub_hub.commits[A] = model
    with pytest.raises(UserError, match=rf"cannot get owner/open at {B} from the hub \("):
        fetch({"hf": "owner/open", "revision": B})
    stub_hub.close()
    with pytest.raises(UserError, match=rf"cannot get owner/open at {A} from the hub .*; on a machine without network"):
        fetch()


def test_without_a_hub_what_is_in_the_cache_is_compared_with_the_hashes_that_the_client_kept(
    stub_hub, fetch, model, tmp_path, caplog
):
    stub_hub.commits[A] = model
    before = fetch()
    stub_hub.close()
    assert fetch() == before
    assert "models.x: the hub cannot be asked (" in caplog.text
    blob = (tmp_path / "cache" / "models--owner--open" / "snapshots" / A / "model.safetensors").resolve()
    blob.write_bytes(bytes(blob.stat().st_size))
    with pytest.raises(UserError, match=rf"model.safetensors of owner/open has the sha256 hash .*; delete {blob} and"):
        fetch()


def test_without_a_hub_and_these_hashes_nothing_is_compared_and_that_is_said(stub_hub, fetch, tmp_path, caplog):
    """As on a cluster without network, to which somebody copied the cache of another machine without its links."""
    snapshot = tmp_path / "cache" / "models--owner--open" / "snapshots" / A
    save_tiny_model(snapshot)
    stub_hub.close()
    with caplog.at_level(logging.INFO):
        description = fetch()
    assert description["compared"] == {"nothing": len(NEEDED)}
    assert {key for facts in description["files"].values() for key in facts} == {"bytes", "sha256"}
    assert "models.x: nothing of owner/open was compared with the hub" in caplog.text


def test_jobs_find_offline_what_was_fetched(stub_hub, fetch, model, tmp_path):
    """Although the cache has its client's list of the repository, most of which was not wanted."""
    stub_hub.commits[A] = model
    fetch()
    stub_hub.close()
    folder = model_folder(tmp_path / "model" / "model.json")
    assert (folder / "model.safetensors").read_bytes() == model["model.safetensors"]


def test_a_cache_without_all_files_is_refused_where_there_is_no_hub(stub_hub, fetch, model, tmp_path):
    stub_hub.commits[A] = model
    fetch()
    stub_hub.close()
    (tmp_path / "cache" / "models--owner--open" / "snapshots" / A / "model.safetensors").unlink()
    with pytest.raises(UserError, match=rf"cannot get owner/open at {A} from the hub .*incomplete: 1 file"):
        fetch()


def test_without_a_revision_main_is_resolved_once_and_held(stub_hub, fetch, model, tmp_path, caplog):
    stub_hub.commits[A] = model
    destination = tmp_path / "model" / "model.json"

    def revision(**source):
        return fetch({"hf": "owner/open", **source})["where"]["revision"]

    with caplog.at_level(logging.INFO):
        assert revision() == A
    assert f"`main` of owner/open is {A}; delete the folder {destination.parent} to move on" in caplog.text
    held = json.loads(destination.read_text())
    stub_hub.commits[B] = model | {"generation_config.json": b"{}"}
    assert revision() == A
    assert json.loads(destination.read_text()) == held
    assert revision(revision=B) == B, "what the registry pins goes first"
    assert revision() == A
    (destination.parent / HELD).write_text(f"owner/other@{A}\n")
    assert revision() == B, "what is held is one repository's commit"
    stub_hub.commits[C] = model
    (destination.parent / HELD).unlink()
    assert revision() == C


def test_what_is_refused_is_not_held(stub_hub, fetch, model, tmp_path):
    stub_hub.commits[A] = model | {"adapter_config.json": b"{}"}
    with pytest.raises(UserError, match="an adapter beside a model"):
        fetch({"hf": "owner/open"})
    assert not (tmp_path / "model" / HELD).exists()


def test_a_local_folder_is_pointed_to_and_all_its_files_are_described(fetch, tmp_path):
    folder = save_tiny_model(tmp_path / "tiny")
    (folder / "notes.md").write_text("mine")
    description = fetch({"path": str(folder)}, formats=["fp32"])
    assert list(description) == ["model_type", "chat_template", "files", "source", "where"]
    assert description["chat_template"] is False
    assert description["model_type"] == "llama"
    assert description["files"]["model.safetensors"]["bytes"] == (folder / "model.safetensors").stat().st_size
    assert sorted(description["files"]) == sorted([*NEEDED, "notes.md"])
    assert {key for facts in description["files"].values() for key in facts} == {"bytes", "sha256"}


def test_a_local_folder_is_refused_as_a_repository_is(fetch, tmp_path):
    folder = save_tiny_model(tmp_path / "tiny")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"models\.x\.source: there is no file of a tokenizer"):
        fetch({"path": str(folder)})


def test_a_file_that_is_no_gguf_is_refused(fetch, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match="neither a folder of safetensors nor a GGUF"):
        fetch({"path": str(tmp_path / "weights.bin")})
    assert not (tmp_path / "model" / "model.json").exists()
