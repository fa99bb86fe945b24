"""A disk that refuses is told in one sentence, ends no process, and leaves nothing half-written."""

import errno
import os
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conceptdepth.activations.store import new_activations
from conceptdepth.ground.disk import REASONS, check_room, naming, refusal
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.hdf5 import new_hdf5


@pytest.mark.parametrize("number", REASONS, ids=errno.errorcode.get)
def test_each_refusal_names_the_file_and_is_one_sentence(number):
    sentence = refusal(OSError(number, os.strerror(number), "some/file"))
    assert sentence.startswith("some/file cannot be read or written: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_what_only_a_programmer_can_tell_is_no_refusal():
    for error in (
        OSError("no number"),
        OSError(errno.EBADF, "bad descriptor"),
        OSError(errno.EINVAL, "invalid", "x"),
        OSError(errno.EAGAIN, "fork"),
    ):
        assert refusal(error) is None


def test_writing_names_no_file_but_a_complete_file_does(tmp_path):
    (tmp_path / ".table.csv.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as refused, complete_file(tmp_path / "table.csv") as part:
        part.write_text("a,b\n")
    assert refusal(refused.value).startswith(f"{tmp_path}/table.csv cannot be read or written: there is no room left")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_there_stays():
    with pytest.raises(OSError, match="other") as refused, naming("mine"):
        raise OSError(errno.ENOSPC, "full", "other")
    assert refused.value.filename == "other"


def test_room_is_asked_for_before_work(tmp_path):
    check_room(tmp_path / "file", 1)
    with pytest.raises(UserError, match=r"file takes 1,000,000,000\.000 GB, and .* GB are free on its disk"):
        check_room(tmp_path / "file", 10**18)


def probes(path):
    """Write a file as those of probes and draws are."""
    with complete_file(path) as part, new_hdf5(part) as file:
        for seed in range(3):
            group = file.create_group(f"mlp_input/logistic_regression/concept/seed_{seed}")
            group.create_dataset("coefficients", data=np.ones((4, 64), "f4"))
            group["test"] = np.arange(40)
            group.attrs["ids"] = ["a", "b"]


def activations(path):
    rows = [{"id": str(number), "label": number % 2, "group": str(number)} for number in range(20)]
    size = {"sites": ["residual"], "n_layers": 3, "d_model": 16}
    with new_activations(path, **size, prompts=rows, n_tokens=[3] * 20) as file:
        file.attrs.update({"model": "tiny", "versions": "x" * 200})
        for site, layers in (("residual", 3), ("embedding", 1)):
            for layer in range(layers):
                file.into[f"{site}/last"][layer, np.arange(20)] = np.ones((20, 16), "f4")


@pytest.mark.parametrize("write", [probes, activations])
def test_wherever_the_disk_is_full_hdf5_ends_in_an_error_of_a_file(tmp_path, write):
    write(tmp_path / "whole.h5")
    size = (tmp_path / "whole.h5").stat().st_size
    (tmp_path / "whole.h5").unlink()
    limits = [*range(0, size, max(size // 20, 1)), size - 1]
    outcomes = {limit: in_a_child(lambda limit=limit: limited(limit, write, tmp_path / "file.h5")) for limit in limits}
    assert outcomes == dict.fromkeys(limits, errno.EFBIG)
    assert list(tmp_path.iterdir()) == []
    assert in_a_child(lambda: limited(size, write, tmp_path / "file.h5")) == 0


def limited(limit, write, path):
    """Return the number of the error that names the file if files may be no longer than the limit, 0 if it is written."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        write(path)
    except OSError as error:
        return error.errno if error.filename == str(path) else 255
    return 0


def in_a_child(function):
    """Return what a function returns, 1 to 255, in a process that it may kill; a negative number is its signal."""
    child = os.fork()
    if child == 0:
        try:
            code = function()
        except BaseException:
            code = 254
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_file_that_another_program_writes_is_said_to_be_open_there(tmp_path):
    path = tmp_path / "file.h5"
    code = f"import h5py; file = h5py.File({str(path)!r}, 'w'); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(OSError, match="lock") as refused, naming(path):
            h5py.File(path)
        other.communicate(b"\n")
    assert refusal(refused.value) == f"{path} cannot be read or written: {REASONS[errno.EAGAIN]}."
