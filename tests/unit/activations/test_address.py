"""Where a worker listens: in a folder that nobody else can enter, under a path that a socket can have."""

import os
import socket
from pathlib import Path

import pytest
from conceptdepth.activations import address
from conceptdepth.ground.errors import UserError


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files."""
    monkeypatch.setattr(address, "LONGEST", 300)
    monkeypatch.setattr(address.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("length", [60, 90, 104, 200])
def test_a_worker_can_listen_however_long_the_path_of_temporary_files_is(tmp_path, monkeypatch, length):
    longest = tmp_path / ("x" * max(length - len(str(tmp_path)) - 1, 1))
    longest.mkdir()
    monkeypatch.setattr(address.tempfile, "gettempdir", lambda: str(longest))
    path = address.address(f"test {os.getpid()} {length}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
    path.unlink()
    assert path.parent.parent in (longest, Path("/tmp"))


@pytest.mark.parametrize(
    ("put", "message"),
    [
        (lambda path: path.write_text(""), "should be a folder and is a file or a link; remove it, or set TMPDIR"),
        (lambda path: path.symlink_to(path.parent / "nowhere"), "should be a folder and is a file or a link"),
        (lambda path: path.symlink_to(path.parent), "should be a folder and is a file or a link"),
        (lambda path: path.mkdir(mode=0o755), "belongs to another user or is open to others"),
    ],
)  # fmt: skip
def test_what_stands_in_the_place_of_its_folder_is_refused(temporary, put, message):
    put(temporary / f"conceptdepth-{os.getuid()}")
    with pytest.raises(UserError, match=message):
        address.address("test")


def test_the_folder_of_another_user_is_refused(temporary, monkeypatch):
    (temporary / "conceptdepth-12345").mkdir(mode=0o700)
    monkeypatch.setattr(address.os, "getuid", lambda: 12345)
    if (temporary / "conceptdepth-12345").stat().st_uid == 12345:
        pytest.skip("this is the user of these tests")
    with pytest.raises(UserError, match="belongs to another user"):
        address.address("test")


def test_its_own_folder_is_made_and_found_again(temporary):
    assert address.address("test") == address.address("test")
    assert (temporary / f"conceptdepth-{os.getuid()}").stat().st_mode & 0o777 == 0o700
