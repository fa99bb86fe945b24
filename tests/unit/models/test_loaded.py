"""Models in a process: who waits for whom, and what is let go. Loading is a stub here; test_worker.py loads for real."""

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from conceptdepth.activations.cell import Cell
from conceptdepth.models import loaded
from conceptdepth.models.loaded import LoadedModels


@pytest.fixture
def cell(tmp_path):
    """A function that gives a cell of a weight format."""
    (tmp_path / "model.json").write_text("{}")

    def make(quantization: str) -> Cell:
        return Cell(
            model=str(tmp_path / "model.json"), name="stub", quantization=quantization, prompts="", sites=[],
            batch_tokens=None, fixed_batch_tokens=False, device="auto", threads=1, destination="", record="",
        )  # fmt: skip

    return make


@pytest.fixture(autouse=True)
def stub_load(monkeypatch):
    """Loading that takes no time, of which each call is told."""
    told = []

    def load(model, cell):
        if not model.is_loaded:
            told.append(cell.quantization)
            model.is_loaded = True

    monkeypatch.setattr(loaded.LoadedModel, "load", load)
    return told


def test_cells_of_one_model_use_it_at_the_same_time(cell, stub_load):
    models = LoadedModels()
    with models.use(cell("fp32")) as first, models.use(cell("fp32")) as second:
        assert first is second
        assert first.users == 2
    with models.use(cell("fp32")):
        assert stub_load == ["fp32"], "the last one stays"


@pytest.mark.parametrize(
    "more", [{"tokenizer": "file"}, {"name": "other"}, {"trust_remote_code": True}, {"device": "cpu"}]
)
def test_a_model_with_other_tokens_or_another_name_is_another(cell, stub_load, more):
    models = LoadedModels()
    with models.use(cell("fp32")) as first:
        pass
    with models.use(replace(cell("fp32"), **more)) as second:
        assert second is not first
    assert stub_load == ["fp32", "fp32"]


def test_another_model_waits_until_the_first_is_let_go(cell, stub_load):
    """Memory is not enough for two on a GPU, and loading changes the default dtype of the whole process."""
    models, begun = LoadedModels(), threading.Event()

    def use_another():
        with models.use(cell("int8")):
            begun.set()
            return first()

    with ThreadPoolExecutor(1) as pool:
        with models.use(cell("fp32")) as model:
            first = weakref.ref(model)
            del model
            waiting = pool.submit(use_another)
            assert not begun.wait(0.3)
            assert stub_load == ["fp32"]
        assert waiting.result(timeout=5) is None, "the first model was still in memory beside the second"
    assert stub_load == ["fp32", "int8"]


def test_a_model_that_failed_to_load_is_tried_again(cell, monkeypatch, stub_load):
    models, right = LoadedModels(), loaded.LoadedModel.load

    def fail(model, cell):
        raise MemoryError

    monkeypatch.setattr(loaded.LoadedModel, "load", fail)
    with pytest.raises(MemoryError), models.use(cell("fp32")):
        pass
    monkeypatch.setattr(loaded.LoadedModel, "load", right)
    with models.use(cell("fp32")):
        assert stub_load == ["fp32"]
