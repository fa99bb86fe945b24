"""Workers: one model stays loaded, errors reach the job that caused them, and no process stays behind.

The workers are real processes that really load a (tiny) model.
"""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from conceptdepth import worker
from conceptdepth.cell import Cell, LoadedModel, extract_cell
from conceptdepth.digest import SCRIPTS
from conceptdepth.errors import UserError
from conceptdepth.job import RUN_VARIABLE
from conceptdepth.model_files import fetch_model
from conceptdepth.store import open_activations
from tiny_model import save_tiny_model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    fetch_model("tiny", {"path": str(save_tiny_model(folder / "weights"))}, folder / "model.json", None)
    rows = [
        {"id": str(n), "prompt": f"the city of {name} .", "label": n % 2, "group": name}
        for n, name in enumerate(["oslo", "lima", "paris"])
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(autouse=True)
def sockets(tmp_path, monkeypatch):
    """Sockets of this test alone; the test's own process plays the Snakemake that the jobs belong to."""
    monkeypatch.setattr(worker.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv(RUN_VARIABLE, str(os.getpid()))
    yield
    for process in workers(tmp_path):
        process.kill()


def workers(tmp_path) -> list[psutil.Process]:
    return [
        p for p in psutil.process_iter(["cmdline"]) if any(str(tmp_path) in part for part in p.info["cmdline"] or [])
    ]


def cell(files, tmp_path, **changes) -> Cell:
    given = {
        "model": str(files / "model.json"), "name": "tiny", "quantization": "fp32", "prompts": str(files / "prompts.jsonl"),
        "sites": ["residual"], "batch_tokens": 64, "fixed_batch_tokens": False, "device": "cpu", "threads": 1, "destination": str(tmp_path / "out.h5"),
        "record": "f" * 64,
    }  # fmt: skip
    return Cell(**given | changes)


def test_the_facts_of_the_worker_come_back_for_the_record(files, tmp_path):
    facts = worker.extract_in_worker(
        cell(files, tmp_path), log_file=str(tmp_path / "cell.log"), log_level="INFO", digest="test"
    )
    assert facts["environment"]["device"] == "cpu"
    assert any("openmp" in library for library in facts["environment"]["blas"])
    assert facts["peak_memory_mb"] > 200, "torch alone takes that much"


def ask(tmp_path, wanted: Cell, log: str = "cell.log") -> str:
    worker.extract_in_worker(wanted, log_file=str(tmp_path / log), log_level="INFO", digest="test")
    return (tmp_path / log).read_text()


def test_a_worker_gives_what_the_job_itself_would(files, tmp_path):
    ask(tmp_path, cell(files, tmp_path))
    extract_cell(cell(files, tmp_path, destination=str(tmp_path / "own.h5")), LoadedModel())
    with open_activations(tmp_path / "out.h5") as ours, open_activations(tmp_path / "own.h5") as own:
        np.testing.assert_array_equal(ours["activations/residual"], own["activations/residual"])


def test_the_second_cell_finds_the_model_loaded_and_logs_into_its_own_file(files, tmp_path):
    assert "loaded tiny as fp32" in ask(tmp_path, cell(files, tmp_path))
    second = ask(tmp_path, cell(files, tmp_path, destination=str(tmp_path / "second.h5")), "second.log")
    assert "tiny as fp32 was loaded already" in second
    assert len(workers(tmp_path)) == 1


def test_cells_at_the_same_time_have_workers_of_their_own(files, tmp_path):
    def one(n):
        return ask(tmp_path, cell(files, tmp_path, destination=str(tmp_path / f"{n}.h5")), f"{n}.log")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(2)))
    assert (tmp_path / "0.h5").exists()
    assert (tmp_path / "1.h5").exists()
    assert len(workers(tmp_path)) == 2


def test_a_users_error_reaches_the_job_and_the_worker_lives_on(files, tmp_path):
    long = tmp_path / "long.jsonl"
    long.write_text(json.dumps({"id": "0", "prompt": "oslo " * 200, "label": 0, "group": "0"}) + "\n")
    with pytest.raises(UserError, match="takes at most 128"):
        ask(tmp_path, cell(files, tmp_path, prompts=str(long)))
    assert not (tmp_path / "out.h5").exists()
    assert "loaded already" in ask(tmp_path, cell(files, tmp_path), "second.log")


def test_a_defect_leaves_its_traceback_in_the_cells_log(files, tmp_path):
    with pytest.raises(UserError, match="its traceback stands above"):
        ask(tmp_path, cell(files, tmp_path, quantization="fp61"))
    assert "ValueError: fp61" in (tmp_path / "cell.log").read_text()


def test_a_worker_killed_before_it_begins_is_replaced(files, tmp_path):
    ask(tmp_path, cell(files, tmp_path))
    (process,) = workers(tmp_path)
    process.suspend()  # so that the request is sure to be under way
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, tmp_path, cell(files, tmp_path, destination=str(tmp_path / "second.h5")))
        time.sleep(0.3)
        process.kill()
        # It had not begun, so another worker is asked, and does the work.
        assert "loaded tiny" in asked.result(timeout=60)
    assert (tmp_path / "second.h5").exists()


def long_work(tmp_path) -> str:
    """Write prompts that a worker is busy with until it is stopped, and return their file."""
    many = tmp_path / "many.jsonl"
    words = "oslo lima paris norway peru france coin heads".split()
    draw = np.random.default_rng(0)
    rows = [
        {"id": str(n), "prompt": " ".join(draw.choice(words, 100)), "label": 0, "group": "0"} for n in range(20_000)
    ]
    many.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(many)


def test_a_worker_killed_at_work_fails_its_cell_and_leaves_no_result(files, tmp_path):
    wanted, log = cell(files, tmp_path, prompts=long_work(tmp_path)), tmp_path / "cell.log"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, tmp_path, wanted)
        wait_for(lambda: log.exists() and "loaded" in log.read_text())
        (process,) = workers(tmp_path)
        process.kill()
        with pytest.raises(UserError, match="the worker died"):
            asked.result(timeout=60)
    assert not (tmp_path / "out.h5").exists()


def test_a_worker_leaves_when_its_job_dies(files, tmp_path):
    """A job killed in the middle of a cell: nobody would take the result."""
    code = (
        "import sys, json; from conceptdepth import worker; from conceptdepth.cell import Cell;"
        "worker.tempfile.gettempdir = lambda: sys.argv[1];"
        "worker.extract_in_worker(Cell(**json.loads(sys.argv[2])), log_file=sys.argv[3], log_level='INFO', digest='test')"
    )
    wanted = cell(files, tmp_path, prompts=long_work(tmp_path))
    log = tmp_path / "cell.log"
    job = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), json.dumps(vars(wanted)), str(log)],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )
    wait_for(lambda: log.exists() and "loaded" in log.read_text())
    job.send_signal(signal.SIGKILL)
    job.wait()
    wait_for(lambda: not [p for p in workers(tmp_path) if p.status() != psutil.STATUS_ZOMBIE])
    assert not (tmp_path / "out.h5").exists()


def test_a_worker_leaves_with_its_snakemake(files, tmp_path, monkeypatch):
    snakemake = subprocess.Popen(["sleep", "60"])
    monkeypatch.setenv(RUN_VARIABLE, str(snakemake.pid))
    ask(tmp_path, cell(files, tmp_path))
    assert len(workers(tmp_path)) == 1
    snakemake.kill()
    snakemake.wait()
    wait_for(lambda: not [p for p in workers(tmp_path) if p.status() != psutil.STATUS_ZOMBIE])
    assert not list(tmp_path.glob("conceptdepth-*/*.sock"))


def test_a_folder_that_others_can_enter_is_refused(tmp_path):
    folder = tmp_path / f"conceptdepth-{os.getuid()}"
    folder.mkdir(mode=0o755)
    with pytest.raises(UserError, match="open to others"):
        worker.address("test")


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_addresses_differ_by_code_and_gpus_and_slurm_job(monkeypatch):
    first = worker.address("one")
    assert isinstance(first, Path)
    assert worker.address("two") != first
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert worker.address("one") != first
