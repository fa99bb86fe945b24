"""Hooks that are registered and removed while other threads run prompts through the same model."""

import itertools
import sys
import threading

import pytest
import torch
from conceptdepth.models.hooks import Hooks


class Stop(Exception):
    """Ends a pass early."""


def stop(states):
    raise Stop


def going_through(module):
    """Begin to go through a module's hooks, as PyTorch does in passes, and return what is left."""
    under_way = [iter(hooks.items()) for hooks in (module._forward_pre_hooks, module._forward_hooks)]
    for hooks in under_way:
        next(hooks)
    return itertools.chain(*under_way)


def test_hooks_come_and_go_while_another_thread_goes_through_them():
    module = torch.nn.Linear(2, 2)
    with Hooks() as first:
        first.after(module, stop)
        first.before(module, stop)
        under_way = going_through(module)
        with Hooks() as second:
            second.change(module, torch.neg)
            second.before(module, stop)
            assert list(under_way) == []
            under_way = going_through(module)
        assert len(list(under_way)) == 2
    assert not module._forward_hooks
    assert not module._forward_pre_hooks
    assert not module._forward_pre_hooks_with_kwargs


def test_each_thread_has_its_own_states_and_changes():
    module, states, seen = torch.nn.Identity(), torch.ones(1), []
    with Hooks() as mine:
        mine.change(module, torch.neg)
        mine.before(module, seen.append)
        mine.after(module, seen.append)
        others = threading.Thread(target=lambda: seen.append(module(states)))
        others.start()
        others.join()
        assert seen == [1]
        assert module(input=states) == -1
    assert seen == [1, 1, -1]
    assert module(states) == 1


@pytest.fixture
def short_turns():
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("short_turns")
def test_passes_that_end_early_side_by_side_meet_no_half_written_hooks():
    """PyTorch goes through a module's hooks once more where a pass ends with an exception."""
    module, wrong = torch.nn.Sequential(torch.nn.Identity()), []

    def work():
        try:
            for _ in range(1000):
                with Hooks() as hooks:
                    hooks.before(module, lambda states: None)
                    hooks.after(module[0], stop)
                    with pytest.raises(Stop):
                        module(torch.ones(1))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
