"""What is loaded is what was fetched: each file is hashed once, beside the load, and no word of a library comes first."""

import os
import threading
from pathlib import Path

import pytest
import torch
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import file_sha256
from conceptdepth.models import loaded, weights
from conceptdepth.models.fetch import fetch_model
from conceptdepth.models.loaded import LoadedModel, ModelRequest
from conceptdepth.models.weights import checked_weights
from tiny_model import save_tiny_model

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path) -> Path:
    return save_tiny_model(tmp_path / "tiny")


@pytest.fixture
def model_json(folder, tmp_path) -> str:
    fetch_model("tiny", {"path": str(folder)}, tmp_path / "model.json", None)
    return str(tmp_path / "model.json")


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """The names of the files that were hashed, in the order in which that began."""
    names = []

    def told(path):
        names.append(Path(path).name)
        return file_sha256(path)

    monkeypatch.setattr(weights, "file_sha256", told)
    return names


def load(model_json: str, quantization: str = "fp32", scratch: str | None = None) -> LoadedModel:
    model = LoadedModel()
    model.load(ModelRequest(model=model_json, name="tiny", quantization=quantization, device="cpu", scratch=scratch))
    return model


def damage(file: Path) -> None:
    """Turn the last bit of a file, whose size stays."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_file_is_hashed_once_in_a_process_for_all_weight_formats(model_json, folder, hashed):
    load(model_json)
    assert sorted(hashed) == sorted(path.name for path in folder.iterdir())
    load(model_json, "bf16")
    assert len(hashed) == len(set(hashed))


def test_a_copy_on_another_disk_is_hashed_for_itself(model_json, tmp_path, hashed):
    load(model_json)
    load(model_json, scratch=str(tmp_path))
    load(model_json, scratch=str(tmp_path))
    assert hashed.count(WEIGHTS) == 2


def test_a_file_of_the_same_size_that_was_written_again_is_found(model_json, folder):
    load(model_json)
    damage(folder / WEIGHTS)
    with pytest.raises(
        UserError, match=r"model.safetensors is not what was fetched; delete .*model.json and run again"
    ):
        load(model_json)


def test_a_file_is_found_though_its_time_stamp_was_put_back(model_json, folder):
    load(model_json)
    before = (folder / WEIGHTS).stat()
    damage(folder / WEIGHTS)
    os.utime(folder / WEIGHTS, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(UserError, match="is not what was fetched"):
        load(model_json)


@pytest.mark.parametrize("break_it", [lambda file: file.write_bytes(b"no tensors"), Path.unlink], ids=["cut", "gone"])
def test_of_a_file_that_cannot_be_loaded_it_is_said_that_it_changed(model_json, folder, break_it):
    break_it(folder / WEIGHTS)
    with pytest.raises(
        UserError, match=r"model.safetensors is not what was fetched; delete .*model.json and run again"
    ):
        load(model_json)


def test_a_model_is_not_kept_if_its_weights_turn_out_to_be_others(model_json, folder):
    damage(folder / WEIGHTS)
    model = LoadedModel()
    with pytest.raises(UserError, match="is not what was fetched"):
        model.load(ModelRequest(model=model_json, name="tiny", quantization="fp32", device="cpu"))
    assert not model.is_loaded
    assert not hasattr(model, "causal")


def test_an_error_of_loading_files_that_are_right_stays(model_json, monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("of memory")

    monkeypatch.setattr(loaded, "load_model", fail)
    with pytest.raises(UserError, match="cannot be opened .of memory"):
        load(model_json)


def test_weights_are_hashed_while_they_are_read_and_the_end_waits_for_that(model_json, monkeypatch):
    reading, ended = threading.Event(), []

    def slow(path):
        if Path(path).name == WEIGHTS:
            assert reading.wait(timeout=10), "hashing came first"
            ended.append(path)
        return file_sha256(path)

    monkeypatch.setattr(weights, "file_sha256", slow)
    with checked_weights(model_json):
        reading.set()
    assert ended


def test_what_is_no_weight_is_compared_before_anything_is_opened(model_json, folder):
    """Code that comes with a model would run while it is opened."""
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="config.json is not what was fetched"), checked_weights(model_json):
        pytest.fail("it was opened")
