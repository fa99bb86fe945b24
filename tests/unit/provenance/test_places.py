"""What is in the way of a run is said before any job: files in the place of folders, full and read-only disks."""

import os
import shutil
from types import SimpleNamespace

import pytest
from conceptdepth.ground.errors import UserError
from conceptdepth.provenance import job as jobs
from conceptdepth.provenance.places import check_outputs, check_project, check_results


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


OUTPUTS = ["results/tables/a.csv", "results/probes/{model}/{quantization}/{dataset}.csv", "results/audit.html"]


def test_folders_links_to_folders_and_nothing_yet_are_right(folder):
    check_results()
    check_outputs(OUTPUTS)
    (folder / "elsewhere").mkdir()
    (folder / "results").symlink_to("elsewhere")
    (folder / "results/probes").mkdir()
    (folder / "results/tables").mkdir()
    (folder / "results/tables/a.csv").write_text("")
    check_results()
    check_outputs(OUTPUTS)


@pytest.mark.parametrize("name", ["results", "results/tables", "results/probes"])
def test_a_file_in_the_place_of_a_folder_is_named(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    with pytest.raises(UserError, match=f"^{name} is a file, and a folder of this name is needed; move the file away"):
        check_outputs(OUTPUTS)


def test_results_may_be_no_link_to_nothing(folder):
    (folder / "results").symlink_to("/nonexistent/disk")
    with pytest.raises(UserError, match="results is a link to nothing: there is no /nonexistent/disk"):
        check_results()


def test_a_full_disk_is_told_before_work(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4096))
    with pytest.raises(UserError, match="there is no room left on the disk of results; free some"):
        check_results()


def test_results_that_cannot_be_written_are_told_before_work_but_to_those_who_only_ask(folder, monkeypatch):
    (folder / "results").mkdir()
    closed = ["results"]
    monkeypatch.setattr(os, "access", lambda path, _: str(path) not in closed)
    with pytest.raises(UserError, match="results cannot be written: its disk is read-only or the folder is not yours"):
        check_results()
    closed.append(".")
    check_results()


@pytest.mark.parametrize("path", ["/a{b}c", "/a{", "/a}"])
def test_snakemake_takes_a_brace_in_its_path_for_a_wildcard(path):
    check_project("/a b/c'd/ü#%*[x]$;&")
    with pytest.raises(UserError, match="there is a brace in the path of this folder"):
        check_project(path)


def fake_job():
    return SimpleNamespace(log=["results/logs/rule/a.log"], config={"execution": {"log_level": "INFO"}}, output=[])


def test_a_disk_that_refuses_ends_a_job_with_one_sentence_in_its_log_and_on_the_terminal(folder, monkeypatch):
    monkeypatch.setattr(jobs, "begin_record", lambda _: SimpleNamespace(content={"inputs": []}, upstream={}))
    with pytest.raises(SystemExit) as ended, jobs.job(fake_job()), open("/dev/full", "w") as stream:
        stream.write("text")
    sentence = (
        "a file cannot be read or written: there is no room left on its disk; free some, or let `results` be a link"
    )
    assert str(ended.value).startswith(f"Error: {sentence}")
    log = (folder / "results/logs/rule/a.log").read_text()
    assert f"Error: {sentence}" in log
    assert "Traceback" not in log


def test_a_log_that_cannot_be_written_ends_a_job_with_one_sentence(folder):
    (folder / "results").mkdir()
    (folder / "results/logs").write_text("")
    message = r"Error: results/logs/rule cannot be read or written: there is a file where"
    with pytest.raises(SystemExit, match=message), jobs.job(fake_job()):
        pytest.fail("it ran")
