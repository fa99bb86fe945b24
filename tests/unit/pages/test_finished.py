"""What records say of a finished run: time, verdict, and which files are of an earlier one."""

from pathlib import Path

import audit_results
import pytest
from conceptdepth.ground.errors import UserError
from conceptdepth.pages.finished import (
    AUDIT,
    Verdict,
    duration,
    in_words,
    jobs_of_run,
    lasting,
    verdict_of,
)
from conceptdepth.provenance.findings import CHANGED, INCOMPLETE, INTACT, Audit
from run_records import ASKED, OLD, OWN, SCORES, Results, job


@pytest.mark.parametrize(
    ("jobs", "wall", "work", "pauses"),
    [
        ([job(0, 10)], 10, 10, 0),
        ([job(5, 20), job(0, 10)], 20, 25, 0),
        ([job(0, 10), job(310, 320)], 320, 20, 0),
        ([job(0, 10), job(311, 320)], 320, 19, 1),
        # A long job covers the time between short ones, whichever started first.
        ([job(0, 1000), job(10, 20), job(900, 905)], 1000, 1015, 0),
        ([job(0, 10), job(2000, 2010), job(9000, 9001)], 9001, 21, 2),
    ],
)
def test_time_is_from_the_first_start_to_the_last_end(jobs, wall, work, pauses):
    took = duration(jobs)
    assert (took.jobs, took.wall, took.work, took.pauses) == (len(jobs), wall, work, pauses)
    assert ("more than one run" in in_words(took)) == (pauses > 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3599, "59 min 59 s"),
        (7260, "2 h 1 min"),
        (200_000, "2 days 7 h"),
    ],
)
def test_times_have_two_units(seconds, text):
    assert lasting(seconds) == text


@pytest.mark.parametrize("verdict", [INTACT, CHANGED, INCOMPLETE])
def test_the_verdict_is_that_of_the_audit_that_wrote_the_page(verdict, monkeypatch, tmp_path):
    class StubAuditor:
        def __init__(self, *_):
            pass

        def audit_file(self, _):
            audit = Audit(files={"a", "b"})
            if verdict != INTACT:
                audit.note(verdict, "<b>", "is not here")
            return audit

        def sha256(self, _):
            return "0"

    monkeypatch.setattr(audit_results, "Auditor", StubAuditor)
    monkeypatch.setattr(audit_results, "machine_and_code", lambda _: {})
    page = tmp_path / "audit.html"
    audit_results.audit_results(["a"], record="0" * 64, destination=str(page))
    assert verdict_of(page) == Verdict(verdict, "2 files, 0 records and 0 code files checked")


def test_a_page_without_a_verdict_is_a_sentence(tmp_path):
    (tmp_path / "audit.html").write_text("<p>intact</p>")
    with pytest.raises(UserError, match="has no verdict of an audit"):
        verdict_of(tmp_path / "audit.html")


@pytest.fixture
def results(tmp_path):
    made = Results(tmp_path)
    made.record("train_probes/cell")
    made.record("collect_scores", [SCORES], ["train_probes/cell"])
    made.record("plot_comparison", [OLD], ["collect_scores"])
    made.record("score_answers/cell", ["results/answers/cell.csv"], ["train_probes/cell"])
    made.record("collect_answers", [ASKED], ["score_answers/cell"])
    made.record("plot_accuracy", [OWN], ["collect_scores"])
    made.record("audit_results", ["results/audit.html"], ["plot_accuracy", "collect_scores"], [OWN, SCORES])
    return made


def test_what_stands_on_the_records_that_are_here_was_asked_for_besides(results):
    assert results.others() == ([], [OLD, ASKED])


def test_what_was_made_from_an_earlier_record_is_of_an_earlier_run(results):
    results.record("collect_scores", [SCORES], ["train_probes/cell"], time=100)
    assert results.others() == ([OLD], [ASKED])


def test_it_counts_how_far_back_the_change_is(results):
    results.record("train_probes/cell", time=100)
    assert results.others() == ([OLD, ASKED], [])


def test_a_file_without_a_record_or_whose_record_lost_what_it_was_made_from_is_not_of_this_run(results):
    stray = "results/tables/latex/notes.tex"
    (results.folder / stray).parent.mkdir(parents=True)
    (results.folder / stray).touch()
    (results.folder / "results/figures/.hidden.png").touch()
    Path(results.folder, results.path("score_answers/cell")).unlink()
    assert results.others() == ([ASKED, stray], [OLD])


def test_the_jobs_of_the_run_are_those_behind_its_audit(results):
    assert AUDIT.as_posix() == results.path("audit_results")
    assert [record["rule"] for record in jobs_of_run(results.folder)] == ["plot_accuracy", "collect_scores"]
