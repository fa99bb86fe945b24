"""What a job finished survives the deletion of its outputs, until its group is done."""

import pytest
from conceptdepth.provenance.kept import keep, release, take_back

RECORD, OTHER = "a" * 64, "b" * 64
FACTS = {"peak_memory_mb": 5, "measured": {"seconds_load": 0.5}}


@pytest.fixture
def finished(tmp_path):
    path = tmp_path / "coins.clean.h5"
    path.write_bytes(b"vectors")
    keep(path, RECORD, FACTS)
    return path


def test_a_deleted_file_is_taken_back_by_the_job_that_made_it(finished):
    finished.unlink()
    assert take_back(finished, RECORD) == FACTS
    assert finished.read_bytes() == b"vectors"


def test_it_takes_no_disk(finished):
    assert finished.stat().st_nlink == 2


def test_another_job_takes_nothing(finished):
    finished.unlink()
    assert take_back(finished, OTHER) is None
    assert not finished.exists()


def test_an_older_version_goes_when_a_newer_one_is_kept(finished):
    finished.unlink()
    finished.write_bytes(b"others")
    keep(finished, OTHER, FACTS)
    assert take_back(finished, RECORD) is None
    assert take_back(finished, OTHER) == FACTS


def test_after_the_release_there_is_nothing_but_the_files(finished):
    neighbour = finished.with_name("claims.clean.h5")
    neighbour.write_bytes(b"")
    keep(neighbour, RECORD, FACTS)
    release(finished.parent)
    assert sorted(finished.parent.iterdir()) == [neighbour, finished]
    finished.unlink()
    assert take_back(finished, RECORD) is None


def test_without_hard_links_nothing_is_kept_and_nothing_fails(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "coins.clean.h5"
    path.write_bytes(b"vectors")
    keep(path, RECORD, FACTS)
    path.unlink()
    assert take_back(path, RECORD) is None
