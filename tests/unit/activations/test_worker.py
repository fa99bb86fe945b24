"""Workers: one model stays loaded, errors reach the job that caused them, and no process stays behind.

The workers are real processes that really load a (tiny) model.
"""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np
import psutil
import pytest
from conceptdepth.activations import address, server, worker
from conceptdepth.activations.answer_cell import AnswerCell
from conceptdepth.activations.cell import Cell
from conceptdepth.activations.request import WorkRequest
from conceptdepth.activations.store import open_activations
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import SCRIPTS
from conceptdepth.models.fetch import fetch_model
from conceptdepth.models.loaded import LoadedModels
from conceptdepth.provenance import digest
from conceptdepth.provenance.job import RUN_VARIABLE
from tiny_model import save_tiny_model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    fetch_model("tiny", {"path": str(save_tiny_model(folder / "weights"))}, folder / "model.json", None)
    rows = [
        {"id": str(n), "prompt": f"the city of {name} .", "label": n % 2, "group": name, "text_at": [0, 14 + len(name)]}
        for n, name in enumerate(["oslo", "lima", "paris"])
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def tmp_path():
    """A folder with a short name, also where tests run side by side: the path of a socket has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="worker", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def sockets(tmp_path, monkeypatch):
    """Sockets of this test alone; the test's own process plays the Snakemake that the jobs belong to."""
    monkeypatch.setattr(address.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv(RUN_VARIABLE, str(os.getpid()))
    yield
    for process in workers(tmp_path):
        process.kill()


def workers(tmp_path) -> list[psutil.Process]:
    return [
        p for p in psutil.process_iter(["cmdline"]) if any(str(tmp_path) in part for part in p.info["cmdline"] or [])
    ]


def living(tmp_path) -> list[psutil.Process]:
    return [p for p in workers(tmp_path) if p.status() != psutil.STATUS_ZOMBIE]


def cell(files, tmp_path, **changes) -> Cell:
    given = {
        "model": str(files / "model.json"), "name": "tiny", "quantization": "fp32", "prompts": str(files / "prompts.jsonl"),
        "sites": ["residual"], "batch_tokens": 64, "fixed_batch_tokens": False, "device": "cpu", "threads": 1, "destination": str(tmp_path / "out.h5"),
        "record": "f" * 64,
    }  # fmt: skip
    return Cell(**given | changes)


def test_the_facts_of_the_worker_come_back_for_the_record(files, tmp_path):
    facts = worker.in_worker(cell(files, tmp_path), log_file=str(tmp_path / "cell.log"), log_level="INFO")
    assert facts["environment"]["device"] == "cpu"
    assert any("openmp" in library for library in facts["environment"]["blas"])
    assert facts["peak_memory_mb"] > 200, "torch alone takes that much"


def ask(tmp_path, wanted: WorkRequest, log: str = "cell.log") -> str:
    worker.in_worker(wanted, log_file=str(tmp_path / log), log_level="INFO")
    return (tmp_path / log).read_text()


def test_a_worker_keeps_the_memory_of_its_passes_unless_it_is_told_otherwise(files, tmp_path, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    ask(tmp_path, cell(files, tmp_path))
    (process,) = workers(tmp_path)
    variables = process.environ()
    assert variables["MALLOC_MMAP_THRESHOLD_"] == str(64 * 2**20)
    assert variables["MALLOC_TRIM_THRESHOLD_"] == "7"


def test_a_worker_gives_what_the_job_itself_would(files, tmp_path):
    ask(tmp_path, cell(files, tmp_path))
    cell(files, tmp_path, destination=str(tmp_path / "own.h5")).carry_out(LoadedModels())
    with open_activations(tmp_path / "out.h5") as ours, open_activations(tmp_path / "own.h5") as own:
        np.testing.assert_array_equal(ours["activations/residual/last"], own["activations/residual/last"])


def test_the_second_cell_finds_the_model_loaded_and_logs_into_its_own_file(files, tmp_path):
    assert "loaded tiny as fp32" in ask(tmp_path, cell(files, tmp_path))
    second = ask(tmp_path, cell(files, tmp_path, destination=str(tmp_path / "second.h5")), "second.log")
    assert "tiny as fp32 was loaded already" in second
    assert len(workers(tmp_path)) == 1


def answers(files, tmp_path, **changes) -> AnswerCell:
    """Ask what the model answers in the cell of `cell`."""
    common = {
        key: value for key, value in vars(cell(files, tmp_path)).items() if key not in ("sites", "positions", "record")
    }
    names = {"model": "tiny", "quantization": "fp32", "dataset": "cities", "perturbation": "clean"}
    own = {"cell": names, "words": ["peru", "france"], "cue": "the city", "destination": str(tmp_path / "out.csv")}
    return AnswerCell(**common | own | {"lens": str(tmp_path / "lens.csv")} | changes)


@pytest.mark.parametrize("quantization", ["fp32", "int8"])
def test_activations_and_answers_share_one_load_and_are_what_the_jobs_themselves_would_give(
    files, tmp_path, quantization
):
    own, asked = tmp_path / "own", {"quantization": quantization}
    own.mkdir()
    assert "loaded tiny as" in ask(tmp_path, answers(files, tmp_path, **asked))
    assert "loaded already" in ask(tmp_path, cell(files, tmp_path, **asked), "cell2.log")
    assert len(workers(tmp_path)) == 1
    answers(files, tmp_path, destination=str(own / "out.csv"), lens=str(own / "lens.csv"), **asked).carry_out(
        LoadedModels()
    )
    cell(files, tmp_path, destination=str(own / "out.h5"), **asked).carry_out(LoadedModels())
    for name in ("out.csv", "lens.csv"):
        assert (tmp_path / name).read_bytes() == (own / name).read_bytes()
    with open_activations(tmp_path / "out.h5") as ours, open_activations(own / "out.h5") as theirs:
        np.testing.assert_array_equal(ours["activations/residual/last"], theirs["activations/residual/last"])
    assert not list(tmp_path.glob(".*")), "nothing half-written is left"


def at_the_same_time(files, tmp_path, *changes) -> list[str]:
    """Ask for cells side by side, each with its changes, and return their logs."""

    def one(number):
        wanted = cell(files, tmp_path, **{"destination": str(tmp_path / f"{number}.h5")} | changes[number])
        return ask(tmp_path, wanted, f"{number}.log")

    with ThreadPoolExecutor(len(changes)) as pool:
        return list(pool.map(one, range(len(changes))))


def test_cells_at_the_same_time_share_one_load_and_get_what_each_would_alone(files, tmp_path):
    changes = [{"prompts": prompts(tmp_path / f"{seed}.jsonl", 50, seed)} for seed in range(4)]
    logs = at_the_same_time(files, tmp_path, *changes)
    assert sorted("loaded already" in log for log in logs) == [False, True, True, True]
    assert all("50 prompts: " in log for log in logs), "each log has the end of its own cell"
    assert all(log.count(" prompts: ") == 1 for log in logs), "and of no other"
    assert len(workers(tmp_path)) == 1
    for number, change in enumerate(changes):
        cell(files, tmp_path, destination=str(tmp_path / "own.h5"), **change).carry_out(LoadedModels())
        with open_activations(tmp_path / f"{number}.h5") as ours, open_activations(tmp_path / "own.h5") as own:
            np.testing.assert_array_equal(ours["activations/residual/last"], own["activations/residual/last"])


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_quantized_layers_are_ready_before_cells_share_them(files, tmp_path, quantization):
    """A quantized layer is finished in its first pass: two first passes at once would break each other."""
    file = prompts(tmp_path / "many.jsonl", 50, 0)
    logs = at_the_same_time(files, tmp_path, *[{"prompts": file, "quantization": quantization}] * 4)
    assert sum("loaded already" in log for log in logs) == 3
    with open_activations(tmp_path / "0.h5") as first:
        for number in range(1, 4):
            with open_activations(tmp_path / f"{number}.h5") as other:
                np.testing.assert_array_equal(first["activations/residual/last"], other["activations/residual/last"])


def test_weight_formats_at_the_same_time_are_both_served(files, tmp_path):
    first, second = at_the_same_time(files, tmp_path, {}, {"quantization": "bf16"})
    assert "loaded tiny as fp32" in first
    assert "loaded tiny as bf16" in second
    assert len(workers(tmp_path)) == 1


def test_snakemakes_have_workers_of_their_own(files, tmp_path, monkeypatch):
    ask(tmp_path, cell(files, tmp_path))
    monkeypatch.setenv(RUN_VARIABLE, str(os.getppid()))
    assert "loaded tiny as fp32" in ask(tmp_path, cell(files, tmp_path, destination=str(tmp_path / "b.h5")), "b.log")
    assert len(workers(tmp_path)) == 2


def test_a_users_error_reaches_the_job_and_the_worker_lives_on(files, tmp_path):
    long = tmp_path / "long.jsonl"
    long.write_text(
        json.dumps({"id": "0", "prompt": "oslo " * 200, "label": 0, "group": "0", "text_at": [0, 4]}) + "\n"
    )
    with pytest.raises(UserError, match="takes at most 128"):
        ask(tmp_path, cell(files, tmp_path, prompts=str(long)))
    assert not (tmp_path / "out.h5").exists()
    assert "loaded already" in ask(tmp_path, cell(files, tmp_path), "second.log")


def test_a_defect_leaves_its_traceback_in_the_cells_log(files, tmp_path):
    with pytest.raises(UserError, match="its traceback stands above"):
        ask(tmp_path, cell(files, tmp_path, sites=[["no name"]]))
    assert "TypeError: " in (tmp_path / "cell.log").read_text()


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


def prompts(file: Path, number: int, seed: int) -> str:
    """Write long prompts that share nothing, and return their file."""
    words = "oslo lima paris norway peru france coin heads".split()
    draw = np.random.default_rng(seed)
    rows = [
        {"id": str(n), "prompt": " ".join(draw.choice(words, 100)), "label": 0, "group": "0", "text_at": [0, 4]}
        for n in range(number)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def long_work(tmp_path) -> str:
    """Write prompts that a worker is busy with until it is stopped, and return their file."""
    return prompts(tmp_path / "many.jsonl", 20_000, 0)


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


def test_halves_of_a_worker_and_a_job_that_were_both_killed_go_with_the_next(files, tmp_path):
    killed = [tmp_path / ".[o]ut.h5.123.worker", tmp_path / "..[o]ut.h5.123.worker.part"]
    others = [tmp_path / ".out.h5.123.worker", tmp_path / ".an[o]ut.h5.123.worker"]
    for path in (*killed, *others):
        path.touch()
    ask(tmp_path, cell(files, tmp_path, destination=str(tmp_path / "[o]ut.h5")))
    assert not any(path.exists() for path in killed)
    assert all(path.exists() for path in others)


def dying_job(files, tmp_path) -> None:
    """Start a job with much work, and kill it when that has begun."""
    code = (
        "import sys, json; from conceptdepth.activations import address, worker; from conceptdepth.activations.cell import Cell;"
        "address.tempfile.gettempdir = lambda: sys.argv[1];"
        "worker.in_worker(Cell(**json.loads(sys.argv[2])), log_file=sys.argv[3], log_level='INFO')"
    )
    wanted = cell(files, tmp_path, prompts=long_work(tmp_path))
    log = tmp_path / "dying.log"
    job = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), json.dumps(vars(wanted)), str(log)],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )
    wait_for(lambda: log.exists() and "loaded" in log.read_text())
    job.send_signal(signal.SIGKILL)
    job.wait()


def test_the_work_of_a_dead_job_ends_and_the_worker_serves_the_next(files, tmp_path):
    """A job killed in the middle of a cell: nobody would take the result."""
    dying_job(files, tmp_path)
    (process,) = workers(tmp_path)
    assert "loaded already" in ask(tmp_path, cell(files, tmp_path))
    assert workers(tmp_path) == [process]
    wait_for(lambda: not list(tmp_path.glob(".*out.h5*")), seconds=10)
    assert "Traceback" not in (tmp_path / "dying.log").read_text()


def test_a_worker_leaves_when_its_snakemake_and_jobs_are_killed(files, tmp_path, monkeypatch):
    snakemake = subprocess.Popen(["sleep", "60"])
    monkeypatch.setenv(RUN_VARIABLE, str(snakemake.pid))
    dying_job(files, tmp_path)
    snakemake.kill()
    snakemake.wait()
    wait_for(lambda: not living(tmp_path))
    assert not list(tmp_path.glob(".*out.h5*"))
    assert not list(tmp_path.glob("conceptdepth-*/*"))


def test_a_worker_leaves_with_its_snakemake(files, tmp_path, monkeypatch):
    snakemake = subprocess.Popen(["sleep", "60"])
    monkeypatch.setenv(RUN_VARIABLE, str(snakemake.pid))
    ask(tmp_path, cell(files, tmp_path))
    assert len(workers(tmp_path)) == 1
    snakemake.kill()
    snakemake.wait()
    wait_for(lambda: not living(tmp_path))
    assert not list(tmp_path.glob("conceptdepth-*/*"))


def test_a_disk_that_refuses_is_what_the_job_hears(tmp_path, monkeypatch):
    """Not that the worker died, nor a traceback: the log may be on the disk that is full."""

    class Full:
        def carry_out(self, *_):
            raise OSError(errno.ENOSPC, "No space left on device", "cell.h5")

    monkeypatch.setitem(server.KINDS, "Full", __name__)
    monkeypatch.setitem(globals(), "Full", Full)
    work = server.Request(None, None, server.OwnLog(sys.stderr))._work
    asked = {"kind": "Full", "fields": {}, "log_level": "INFO"}
    for log_file, sentence in (
        (tmp_path / "a.log", "cell.h5 cannot be read or written: there is no room left on its disk"),
        (tmp_path / "none/a.log", "none/a.log cannot be read or written: there is no such file or folder"),
    ):
        assert sentence in work(asked | {"log_file": str(log_file)})["error"]
    assert (tmp_path / "a.log").read_text() == ""


def test_what_killed_workers_have_left_is_removed_and_nothing_else(monkeypatch):
    def listening(digest: str) -> socket.socket:
        path = address.address(digest)
        for suffix in (".lock", ".log"):
            path.with_suffix(suffix).touch()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        return listener

    with monkeypatch.context() as there:
        there.setattr("platform.node", lambda: "another machine that has this folder, too")
        listening("there").close()
        kept = set(address.address("there").parent.iterdir())
    listening("killed").close()
    address.address("killed while it started").with_suffix(".lock").touch()
    with listening("alive"), address.locked(address.address("starts"), wait=True):
        kept |= {address.address("alive").with_suffix(suffix) for suffix in (".sock", ".lock", ".log")}
        kept |= {address.address("starts").with_suffix(".lock")}
        address.remove_dead(address.address("alive"))
        assert set(address.address("alive").parent.iterdir()) == kept


def test_a_lock_that_was_removed_while_one_waited_for_it_is_not_held(tmp_path):
    """Else two would start workers at one address."""
    path = tmp_path / "a.sock"
    waiting = address.locked(path, wait=True)
    with ThreadPoolExecutor(1) as pool:
        with address.locked(path, wait=True):
            waits = pool.submit(waiting.__enter__)
            time.sleep(0.2)
            address.remove(path)
        assert waits.result(timeout=10)
        with address.locked(path, wait=False) as alone:
            assert not alone


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.mark.parametrize("variable", [RUN_VARIABLE, "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"])
def test_addresses_differ_by_snakemake_and_gpus_and_slurm_job(monkeypatch, variable):
    first = address.address("one")
    monkeypatch.setenv(variable, "7")
    assert address.address("one") != first


def test_addresses_differ_by_code():
    assert address.address("one") != address.address("two")


def test_all_kinds_of_requests_are_served():
    for module in server.KINDS.values():
        import_module(module)
    assert {kind.__name__: kind.__module__ for kind in WorkRequest.__subclasses__()} == server.KINDS


BEHIND = ["server", "request", "cell", "answer_cell", "answers", "extraction"]
"""Some of the modules that a worker may run."""


@pytest.mark.parametrize("module", BEHIND)
def test_a_worker_has_another_address_after_an_edit_in_any_code_that_it_may_run(monkeypatch, module):
    before = worker.code_of_worker()
    own = digest.syntax_sha256
    monkeypatch.setattr(digest, "syntax_sha256", lambda path: own(path) + ("edited" if path.stem == module else ""))
    assert worker.code_of_worker() != before


def test_the_asking_side_imports_no_torch():
    code = "import sys; from conceptdepth.activations import answer_cell, cell, worker; print('torch' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "False"
