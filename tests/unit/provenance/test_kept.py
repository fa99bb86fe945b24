"""What a job finished survives the deletion of its outputs, until its group is done."""

import json

import pytest
from conceptdepth.provenance.kept import keep, release, take_back
from conceptdepth.provenance.record import describe

RECORD, OTHER = "a" * 64, "b" * 64
FACTS = {"peak_memory_mb": 5, "measured": {"seconds_load": 0.5}}


@pytest.fixture
def finished(tmp_path):
    path = tmp_path / "coins.clean.h5"
    path.write_bytes(b"vectors")
    keep(describe(path), RECORD, FACTS)
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
    keep(describe(finished), OTHER, FACTS)
    assert take_back(finished, RECORD) is None
    assert take_back(finished, OTHER) == FACTS


def test_after_the_release_there_is_nothing_but_the_files(finished):
    neighbour = finished.with_name("claims.clean.h5")
    neighbour.write_bytes(b"")
    keep(describe(neighbour), RECORD, FACTS)
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
    keep(describe(path), RECORD, FACTS)
    path.unlink()
    assert take_back(path, RECORD) is None


@pytest.mark.parametrize("damage", [lambda b: b[:-2], lambda b: b"", lambda b: b"vectorz", lambda b: b + b"s"])
def test_a_damaged_file_is_dropped_with_a_word_and_not_taken_back(finished, damage, caplog):
    """The two names are of one file: what befalls it under the one befalls it under the other."""
    finished.write_bytes(damage(finished.read_bytes()))
    finished.unlink()
    assert take_back(finished, RECORD) is None
    assert "coins.clean.h5." in caplog.text
    assert "is dropped: it is not what was kept" in caplog.text
    assert list(finished.parent.iterdir()) == [], "the next attempt does not look at it again"


def facts_of(finished):
    (path,) = finished.parent.glob(".*.kept.json")
    return path


@pytest.mark.parametrize("place", range(0, 300, 17))
def test_facts_with_a_flipped_bit_are_none(finished, place):
    content = bytearray(facts_of(finished).read_bytes())
    content[place % len(content)] ^= 1
    facts_of(finished).write_bytes(content)
    finished.unlink()
    assert take_back(finished, RECORD) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"file": 1, "facts": {}}', "{}"])
def test_facts_that_cannot_be_read_are_none(finished, text):
    facts_of(finished).write_text(text)
    finished.unlink()
    assert take_back(finished, RECORD) is None


def test_facts_are_those_of_this_very_file(finished):
    """Another size, with all else as it was."""
    content = json.loads(facts_of(finished).read_text())
    content["file"]["bytes"] += 1
    facts_of(finished).write_text(json.dumps(content))
    assert take_back(finished, RECORD) is None
