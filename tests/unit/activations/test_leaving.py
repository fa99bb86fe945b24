"""Vectors on their way: all arrive where they belong, few are on their way at a time, and no error is lost."""

import errno
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from conceptdepth.activations.leaving import WRITERS, Leaving
from conceptdepth.activations.store import new_activations, open_activations
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import EMBEDDING

LAYERS, PROMPTS, WIDTH = 5, 40, 3
VALUES = np.random.default_rng(0).normal(size=(LAYERS, PROMPTS, WIDTH)).astype(np.float32)
FIRST = np.arange(1)

ON_THEIR_WAY = 16
"""Vectors of one prompt that there is room for in these tests."""


@pytest.fixture(autouse=True)
def little_room(monkeypatch):
    monkeypatch.setattr("conceptdepth.activations.leaving.MOST_BYTES", ON_THEIR_WAY * WIDTH * 4)


def takes(seed=0):
    """Yield layers with some prompts in ascending order: every layer in a few parts, the parts in no order."""
    draw = np.random.default_rng(seed)
    parts = []
    for layer in range(LAYERS):
        order, ends = draw.permutation(PROMPTS), np.sort(draw.choice(np.arange(1, PROMPTS), 7, replace=False))
        parts += [(layer, np.sort(some)) for some in np.split(order, ends)]
    yield from (parts[number] for number in draw.permutation(len(parts)))


def take_all(leaving, site, values=VALUES):
    count = 0
    for layer, prompts in takes():
        leaving.take(site, layer, torch.from_numpy(values[layer, prompts]), prompts)
        count += 1
    return count


def test_vectors_arrive_in_arrays():
    into = {
        "residual": np.full(VALUES.shape, np.nan, np.float32),
        "mlp_input": np.full(VALUES.shape, np.nan, np.float32),
    }
    with Leaving(into, "tiny") as leaving:
        count = take_all(leaving, "residual") + take_all(leaving, "mlp_input", -VALUES)
    np.testing.assert_array_equal(into["residual"], VALUES)
    np.testing.assert_array_equal(into["mlp_input"], -VALUES)
    assert leaving.copies == count


def test_vectors_arrive_in_a_file(tmp_path):
    rows = [{"id": str(n), "label": 0, "group": str(n)} for n in range(PROMPTS)]
    size = {"n_layers": LAYERS, "d_model": WIDTH, "prompts": rows, "n_tokens": [1] * PROMPTS}
    with (
        new_activations(tmp_path / "cell.h5", sites=["residual"], **size) as file,
        Leaving(file.into, "tiny") as leaving,
    ):
        take_all(leaving, "residual")
        leaving.take(EMBEDDING, 0, torch.from_numpy(VALUES[0]), np.arange(PROMPTS))
    with open_activations(tmp_path / "cell.h5") as file:
        np.testing.assert_array_equal(file["activations/residual/last"], VALUES)
        np.testing.assert_array_equal(file["embedding/last"], VALUES[:1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_vectors_arrive_in_32_bits(dtype):
    vectors = torch.from_numpy(VALUES[0]).to(dtype)

    class Only32Bits:
        def __setitem__(self, where, values):
            assert values.dtype == np.float32
            np.testing.assert_array_equal(values, vectors.float().numpy())

    with Leaving({"residual": Only32Bits()}, "tiny") as leaving:
        leaving.take("residual", 0, vectors, np.arange(PROMPTS))


def test_wait_returns_when_all_have_arrived():
    into = {"residual": np.full(VALUES.shape, np.nan, np.float32)}
    with Leaving(into, "tiny") as leaving:
        take_all(leaving, "residual")
        leaving.wait()
        np.testing.assert_array_equal(into["residual"], VALUES)


class Slow:
    """A destination that puts nothing down before its gate opens."""

    def __init__(self):
        self.gate, self.lock = threading.Event(), threading.Lock()
        self.writing = self.most_writing = self.written = 0

    def __setitem__(self, where, values):
        with self.lock:
            self.writing += 1
            self.most_writing = max(self.writing, self.most_writing)
        assert self.gate.wait(30)
        with self.lock:
            self.writing -= 1
            self.written += 1


def some(value=1.0):
    return torch.full((1, WIDTH), value)


def until(condition):
    """Wait for what another thread does."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_nothing_waits_while_there_is_room():
    slow = Slow()
    with Leaving({"residual": slow}, "tiny") as leaving:
        for _ in range(ON_THEIR_WAY):
            leaving.take("residual", 0, some(), FIRST)
        until(lambda: slow.writing == WRITERS)
        slow.gate.set()
    assert (leaving.waits, leaving.copies) == (0, ON_THEIR_WAY)
    assert (slow.written, slow.most_writing) == (ON_THEIR_WAY, WRITERS)


def test_no_more_are_on_their_way_than_there_is_room_for():
    slow, took = Slow(), []
    with Leaving({"residual": slow}, "tiny") as leaving, ThreadPoolExecutor(1) as model:

        def take():
            for number in range(3 * ON_THEIR_WAY):
                leaving.take("residual", 0, some(), FIRST)
                took.append(number)

        done = model.submit(take)
        until(lambda: leaving.waits)
        assert not done.done()
        assert (len(took), slow.written) == (ON_THEIR_WAY, 0)
        slow.gate.set()
        done.result()
    assert slow.written == leaving.copies == 3 * ON_THEIR_WAY
    assert leaving.waits >= 1


def test_what_cannot_be_copied_takes_no_room(monkeypatch):
    """Memory runs out while vectors are copied, passes are halved, and what follows must not wait for ever."""
    into = np.full((1, 1, WIDTH), np.nan, np.float32)
    with Leaving({"residual": into}, "tiny") as leaving:
        with monkeypatch.context() as patch:
            patch.setattr(leaving, "_copied", lambda vectors: (_ for _ in ()).throw(torch.OutOfMemoryError))
            for _ in range(2 * ON_THEIR_WAY):
                with pytest.raises(torch.OutOfMemoryError):
                    leaving.take("residual", 0, some(), FIRST)
        leaving.take("residual", 0, some(), FIRST)
    assert (into == 1).all()
    assert leaving.waits == 0


class Full:
    """A destination on a full disk."""

    def __setitem__(self, where, values):
        raise OSError(errno.ENOSPC, "No space left on device")


FAULTS = {
    "a full disk": (Full(), 1.0, OSError, "No space left"),
    "no number": (
        np.empty((1, 1, WIDTH), np.float32),
        np.nan,
        UserError,
        "tiny: the activations at residual of layer 0",
    ),
    "infinite": (np.empty((1, 1, WIDTH), np.float32), -np.inf, UserError, "are not all finite numbers"),
}

by_fault = pytest.mark.parametrize(("into", "value", "error", "said"), FAULTS.values(), ids=FAULTS)


@by_fault
def test_an_error_on_the_way_ends_the_context(into, value, error, said):
    with pytest.raises(error, match=said), Leaving({"residual": into}, "tiny") as leaving:
        leaving.take("residual", 0, some(value), FIRST)


@by_fault
def test_an_error_on_the_way_ends_what_goes_on(into, value, error, said):
    """A model does not run on for hours when the disk is full."""

    def go_on(leaving):
        for _ in range(100 * ON_THEIR_WAY):
            leaving.take("residual", 0, some(value), FIRST)

    with pytest.raises(error, match=said), Leaving({"residual": into}, "tiny") as leaving:
        go_on(leaving)
    assert leaving.copies < 100 * ON_THEIR_WAY


@by_fault
def test_an_error_in_the_block_is_the_one_that_is_seen(into, value, error, said):
    def take_and_fail(leaving):
        leaving.take("residual", 0, some(value), FIRST)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), Leaving({"residual": into}, "tiny") as leaving:
        take_and_fail(leaving)


def test_one_value_among_many_that_is_not_finite_is_seen():
    spoiled = VALUES.copy()
    spoiled[3, 17, 2] = np.inf
    into = {"residual": np.empty(VALUES.shape, np.float32)}
    with pytest.raises(UserError, match="at residual of layer 3 are not all finite"), Leaving(into, "tiny") as leaving:
        take_all(leaving, "residual", spoiled)


def test_16_bits_that_overflow_are_seen():
    with pytest.raises(UserError, match="finite"), Leaving({"residual": np.empty((1, 1, WIDTH))}, "tiny") as leaving:
        leaving.take("residual", 0, some(1e6).half(), FIRST)


@pytest.mark.parametrize("ends", ["well", "on the way", "in the block"])
def test_no_thread_is_left(ends):
    before = threading.active_count()
    ending = nullcontext() if ends == "well" else pytest.raises((OSError, KeyError))
    into = Full() if ends == "on the way" else np.empty((1, 1, WIDTH), np.float32)
    with ending, Leaving({"residual": into}, "tiny") as leaving:
        for _ in range(WRITERS):
            leaving.take("residual", 0, some(), FIRST)
        if ends == "in the block":
            raise KeyError
    assert threading.active_count() == before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("writer")]
