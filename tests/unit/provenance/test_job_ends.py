"""A job ends with its Snakemake: the next one does the same work, on the same files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conceptdepth.ground.files import SCRIPTS
from conceptdepth.provenance.job import RUN_VARIABLE

JOB = """
import sys, time
from types import SimpleNamespace
from conceptdepth.ground.files import complete_file
from conceptdepth.provenance.job import job

class Params(dict):
    code, software = "", {}

class Files(list):
    record = "results/provenance/collect_drift.json"

snakemake = SimpleNamespace(
    log=["job.log"], config={"execution": {"log_level": "INFO"}}, rule="collect_drift", wildcards={}, input=[],
    params=Params(code="", software={}), output=Files(["drift.csv", Files.record]),
)
with job(snakemake), complete_file("drift.csv") as part:
    part.write_text("half")
    time.sleep(float(sys.argv[1]))
    part.write_text("whole")
"""


def start(folder, run: str, seconds: float = 30) -> "subprocess.Popen[bytes]":
    variables = os.environ | {"PYTHONPATH": str(SCRIPTS), RUN_VARIABLE: run}
    command = [sys.executable, "-c", JOB, str(seconds)]
    return subprocess.Popen(command, cwd=folder, env=variables)


def wait_until_it_writes(job: subprocess.Popen, folder: Path) -> None:
    deadline = time.monotonic() + 20
    while not (folder / ".drift.csv.part").exists():
        assert job.poll() is None
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_an_interrupted_job_removes_what_it_has_begun_and_shows_no_traceback(tmp_path):
    job = start(tmp_path, "/0")
    wait_until_it_writes(job, tmp_path)
    job.send_signal(signal.SIGINT)
    assert job.wait(timeout=20) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["job.log"]
    said = (tmp_path / "job.log").read_text()
    assert said.endswith("Error: interrupted.\n")
    assert "Traceback" not in said


@pytest.mark.parametrize("slurm_job", ["", "17"])
def test_a_job_whose_snakemake_is_killed_ends_and_leaves_no_result(tmp_path, slurm_job):
    snakemake = subprocess.Popen(["sleep", "60"])
    job = start(tmp_path, f"{slurm_job}/{snakemake.pid}")
    wait_until_it_writes(job, tmp_path)
    snakemake.kill()
    snakemake.wait()
    assert job.wait(timeout=20) == 1
    assert not (tmp_path / "drift.csv").exists()
    assert "Error: the Snakemake of this job has ended." in (tmp_path / "job.log").read_text()


def test_a_job_that_begins_after_its_snakemake_was_killed_ends_too(tmp_path):
    """Importing takes seconds."""
    snakemake = subprocess.Popen(["true"])
    snakemake.wait()
    assert start(tmp_path, f"/{snakemake.pid}").wait(timeout=20) == 1
    assert not (tmp_path / "drift.csv").exists()


@pytest.mark.parametrize("run", ["/0", f"/{os.getpid()}"], ids=["none", "this process"])
def test_a_job_goes_on_while_its_snakemake_runs(tmp_path, run):
    """Or if there is none."""
    assert start(tmp_path, run, seconds=1.2).wait(timeout=20) == 0
    assert (tmp_path / "drift.csv").read_text() == "whole"
    assert (tmp_path / "results/provenance/collect_drift.json").exists()
