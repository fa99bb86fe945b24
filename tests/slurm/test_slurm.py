"""`snakemake --profile slurm` on a real SLURM: one node, two GPUs that are none, and the profile as it is shipped."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from cluster import ACCOUNT, GPU_TYPE, GPUS, PROGRAMS, Cluster
from project import Project, make_project

missing = [program for program in PROGRAMS if not shutil.which(program)]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"no SLURM here: {', '.join(missing)} not found")

# Two clusters side by side, so that these tests, which mostly wait, take half as long. Each on a worker of its own.
FIRST, SECOND = (pytest.mark.xdist_group(f"slurm {number}") for number in (1, 2))

ON_CLUSTER = [
    "--profile", "slurm", "--configfile", "overlay.yaml",
    # Of a site's patience these tests have none.
    "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10",
]  # fmt: skip

MODELS = ["tiny", "cached", "third"]
PROMPTS = [
    *(f"results/prompts/{dataset}.clean.jsonl" for dataset in ("coins", "claims")),
    "results/models/tiny/model.json",
]
ACTIVATIONS = "results/activations/tiny/fp32/index.csv"
CELLS = [f"{dataset}.clean" for dataset in ("coins", "claims")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
    assert running.daemons() == []
    assert running.processes() == []


def make(folder: Path, *models: str, gpus: int = 1) -> Project:
    """Make a project of tiny models, on so many GPUs each, with two cells each."""
    project = make_project(folder)

    def grid(config):
        config["models"]["third"] = config["models"]["tiny"]
        for name in models:
            config["models"][name] = config["models"][name] | {"gpus": gpus}
        config["run"].update(models=list(models), quantizations=["fp32"], perturbations=["clean"])

    project.overlay(grid)
    return project


def start(project: Project, cluster: Cluster, *arguments: str) -> subprocess.Popen[str]:
    """Start snakemake on the cluster, as a user would on its login node."""
    path = f"{Path(sys.executable).parent}:{cluster.environment['PATH']}"
    variables = cluster.environment | {
        "PATH": path,
        "HF_HOME": str(project.hub),
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
    }
    with (project.folder / "said.txt").open("a") as said:
        return subprocess.Popen(
            ["snakemake", *ON_CLUSTER, *arguments],
            cwd=project.folder, env=os.environ | variables, stdout=said, stderr=said, text=True, start_new_session=True,
        )  # fmt: skip


def run(project: Project, cluster: Cluster, *arguments: str) -> str:
    """Run snakemake on the cluster to its end, which must be a good one, and return what it said."""
    return finish(project, start(project, cluster, *arguments))


def finish(project: Project, snakemake: subprocess.Popen[str]) -> str:
    """Wait for the end of a snakemake, which must be a good one, and return what it said."""
    code = snakemake.wait(timeout=500)
    said = (project.folder / "said.txt").read_text()
    assert code == 0, said[-6000:]
    return said


def jobs_of(cluster: Cluster, project: Project, comment: str = "") -> list[dict[str, str]]:
    """Return the SLURM jobs of a project, oldest first, whose comment, which names rules and wildcards, has a word in it."""
    return [
        job for job in cluster.jobs() if job["WorkDir"] == str(project.folder) and comment in job.get("Comment", "")
    ]


def batched(items: list, size: int) -> list[list]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def span(job: dict[str, str]) -> tuple[pd.Timestamp, pd.Timestamp]:
    return pd.Timestamp(job["StartTime"]), pd.Timestamp(job["EndTime"])


def made_here(project: Project, *targets: str) -> None:
    """Make what a test is not about without the cluster, which waits between two looks at its queue."""
    result = project.snakemake(*targets)
    assert result.returncode == 0, result.stderr


@FIRST
def test_cells_of_a_model_are_one_submission_with_one_load_and_give_what_a_local_run_gives(cluster, tmp_path):
    project = make(tmp_path / "project", *MODELS)
    local = project.copy(tmp_path / "local")
    with ThreadPoolExecutor(1) as pool:  # Beside it: a cluster is mostly waited for.
        beside = pool.submit(made_here, local)
        said = run(project, cluster)
        beside.result()

    gpu_jobs = jobs_of(cluster, project, "extract_activations")
    assert len(gpu_jobs) == len(MODELS)
    for job in gpu_jobs:
        assert (job["JobState"], job["Partition"], job["TresPerNode"]) == ("COMPLETED", "gpu", "gres:gpu:1")
    others = [job for job in jobs_of(cluster, project) if job not in gpu_jobs]
    assert others
    assert {job["Partition"] for job in others} == {"cpu"}
    assert not any("TresPerNode" in job for job in others)
    (run_id,) = re.findall("SLURM run ID: (.*)", said)
    with_gpu = {job["JobIDRaw"] for job in cluster.accounted(run_id) if "gres/gpu=1" in job["AllocTRES"]}
    assert with_gpu == {job["JobId"] for job in gpu_jobs}
    # Local rules: what fetches, collects and draws never reached the cluster.
    assert not any(re.search("fetch|plot|collect|estimate", job["Comment"]) for job in others)

    # Two GPUs: never more than two jobs at once, and two at some time.
    spans = [span(job) for job in gpu_jobs]
    at_once = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert max(at_once) == GPUS

    # One load for each submission; its other cells find the model loaded.
    for model in MODELS:
        logs = [project.folder / f"results/logs/extract_activations/{model}/fp32/{cell}.log" for cell in CELLS]
        said = "".join(log.read_text() for log in logs)
        assert (said.count(f"loaded {model} as fp32"), said.count("was loaded already")) == (1, 1)

    # The same tables and figures as without a cluster.
    for name in ("layer_scores", "concept_depth"):
        table = f"results/tables/{name}.csv"
        assert (project.folder / table).read_bytes() == (local.folder / table).read_bytes()
    for figure in (local.folder / "results/figures").glob("*.svg"):
        assert drawing(project.folder / "results/figures" / figure.name) == drawing(figure)
    assert "intact" in project.conceptdepth("audit", "--all").stdout


def drawing(path: Path) -> str:
    """Return a figure without the id of its record."""
    return re.sub(r"conceptdepth:record:[0-9a-f]+", "", path.read_text())


@SECOND
def test_a_job_that_runs_out_of_memory_or_of_time_comes_back_larger(cluster, tmp_path):
    """Each of two probe jobs asks for too little at first: one takes memory, the other time."""
    project = make(tmp_path / "project", "tiny")
    made_here(project, ACTIVATIONS)
    # A site that gives probes a minute at first, and one submission each.
    profile = project.folder / "profiles/slurm/config.yaml"
    text = profile.read_text().replace("mem_mb: 1000 * attempt", "mem_mb: 1000 * attempt\n    runtime: attempt")
    profile.write_text(text.replace("probes: 20", "probes: 1"))
    script = project.folder / "workflow_scripts/train_probes.py"
    # More than the first attempt asks for, less than the second; for longer than a minute, unless it is the second attempt.
    hungry = "hog = bytearray(1500 * 2**20) if 'claims' in str(snakemake.output) else time.sleep(100 / snakemake.resources.runtime**2)"
    script.write_text(
        script.read_text().replace("if __name__", f"import time\n\n{hungry}\ntime.sleep(3)\n\nif __name__")
    )
    said = run(project, cluster, *(f"results/probes/tiny/fp32/{cell}.csv" for cell in CELLS))
    assert said.count("Trying to restart job") == 2
    attempts = [
        [(job["MinMemoryNode"], job["TimeLimit"], job["JobState"]) for job in two]
        for two in batched(jobs_of(cluster, project, "train_probes"), 2)
    ]
    assert [{(memory, limit) for memory, limit, _ in two} for two in attempts] == [
        {("1000M", "00:01:00")}, {("2000M", "00:02:00")},
    ]  # fmt: skip
    # Of memory SLURM says OUT_OF_MEMORY with control groups, FAILED without.
    assert {state.replace("OUT_OF_MEMORY", "FAILED") for *_, state in attempts[0]} == {"FAILED", "TIMEOUT"}
    assert {state for *_, state in attempts[1]} == {"COMPLETED"}


FAIL_ONCE = """
import pathlib, time
once, back = pathlib.Path("data/failed_once"), pathlib.Path("data/controller_is_back")
if list(pathlib.Path(snakemake.output.activations).parent.glob(".*.kept")) and not once.exists():
    once.touch()
    while not back.exists():
        time.sleep(1)
    raise SystemExit("this cell fails once, after another one was done")
"""


@SECOND
def test_of_a_group_that_failed_only_the_failed_cell_is_computed_again(cluster, tmp_path):
    """Its model wants two GPUs. While the controller is away Snakemake looks after its jobs, and one of them fails."""
    project = make(tmp_path / "project", "tiny", gpus=2)
    made_here(project, *PROMPTS)
    script = project.folder / "workflow_scripts/extract_activations.py"
    script.write_text(script.read_text().replace("if __name__", f"{FAIL_ONCE}\nif __name__"))
    snakemake = start(project, cluster, ACTIVATIONS)
    wait_for((project.folder / "data/failed_once").exists)
    cluster.stop_controller()
    assert cluster.command("squeue").returncode != 0
    wait_for(lambda: "Falling back to 'sacct'" in (project.folder / "said.txt").read_text())
    (project.folder / "data/controller_is_back").touch()
    time.sleep(5)
    cluster.start_controller()
    said = finish(project, snakemake)
    assert said.count("Trying to restart job") == 1
    attempts = jobs_of(cluster, project, "extract_activations")
    assert [job["JobState"] for job in attempts] == ["FAILED", "COMPLETED"]
    assert [job["MinMemoryNode"] for job in attempts] == ["1200M", "2400M"]
    assert {job["TresPerNode"] for job in attempts} == {"gres:gpu:2"}
    logs = [(project.folder / f"results/logs/extract_activations/tiny/fp32/{cell}.log").read_text() for cell in CELLS]
    assert sorted("taken back" in log for log in logs) == [False, True]
    assert sorted("tokens, of which" in log for log in logs) == [False, True]
    assert not list((project.folder / "results/activations/tiny/fp32").glob(".*"))


def wait_for(condition, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@SECOND
def test_a_job_that_loses_its_node_is_queued_again_and_takes_back_what_it_had_done(cluster, tmp_path):
    """On a cluster whose users name an account and a type of GPU: the lines of the profile that are comments."""
    project = make(tmp_path / "project", "tiny")
    made_here(project, *PROMPTS)
    profile = project.folder / "profiles/slurm/config.yaml"
    profile.write_text(profile.read_text().replace("# slurm_account:", "slurm_account:").replace("# gres:", "gres:"))
    script = project.folder / "workflow_scripts/extract_activations.py"
    script.write_text(script.read_text().replace("if __name__", f"{STAY_AT_FIRST}\nif __name__"))
    snakemake = start(project, cluster, ACTIVATIONS)
    wait_for((project.folder / "data/stays").exists)
    lose_node(cluster, project)
    said = finish(project, snakemake)
    (job,) = jobs_of(cluster, project, "extract_activations")
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    assert (job["TresPerNode"], job["Account"]) == (f"gres:gpu:{GPU_TYPE}:1", ACCOUNT)
    (run_id,) = re.findall("SLURM run ID: (.*)", said)
    assert {(job["Account"], "gres/gpu=1" in job["AllocTRES"]) for job in cluster.accounted(run_id)} == {
        (ACCOUNT, True)
    }
    logs = [(project.folder / f"results/logs/extract_activations/tiny/fp32/{cell}.log").read_text() for cell in CELLS]
    assert sorted("taken back" in log for log in logs) == [False, True]


STAY_AT_FIRST = """
import pathlib, time
stays = pathlib.Path("data/stays")
if list(pathlib.Path(snakemake.output.activations).parent.glob(".*.kept")) and not stays.exists():
    stays.touch()
    time.sleep(300)
"""


def lose_node(cluster: Cluster, project: Project) -> None:
    """Let the node be lost until its job waits in the queue again, and come back."""
    node = ["scontrol", "update", "NodeName=localhost"]
    assert cluster.command(*node, "State=DOWN", "Reason=test").returncode == 0
    wait_for(lambda: [job["JobState"] for job in jobs_of(cluster, project, "extract_activations")] == ["PENDING"])
    cluster.command(*node, "State=RESUME")  # Refused if the node has come back by itself.
    wait_for(lambda: cluster.output("sinfo", "--noheader", "--partition=gpu", "--format=%T").strip() == "idle")
    (job,) = jobs_of(cluster, project, "extract_activations")
    # SLURM gives a node two minutes to end what ran on it, and drains it if a job meets its earlier self. Here nothing is slow.
    assert cluster.command("scontrol", "update", f"JobId={job['JobId']}", "StartTime=now+30").returncode == 0


@FIRST
def test_after_its_snakemake_was_killed_the_work_of_a_job_counts(cluster, tmp_path):
    """The login session dies while a GPU job runs; the next run takes up what it did."""
    project = make(tmp_path / "project", "tiny")
    made_here(project, *PROMPTS)
    first = start(project, cluster, ACTIVATIONS)
    wait_for(lambda: any(job["JobState"] == "RUNNING" for job in jobs_of(cluster, project, "extract_activations")))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()

    listed = leftovers(project, cluster)
    assert re.search(r"RUNNING .*extract_activations", listed.stdout)
    assert leftovers(project, cluster, "--wait", "--seconds", "1").returncode == 0
    assert "No job of this folder is in the queue." in leftovers(project, cluster).stdout
    (job,) = jobs_of(cluster, project, "extract_activations")
    assert job["JobState"] == "COMPLETED"

    files = [project.folder / f"results/activations/tiny/fp32/{cell}.h5" for cell in CELLS]
    before = [file.stat().st_mtime_ns for file in files]
    assert project.snakemake("--unlock").returncode == 0
    run(project, cluster, ACTIVATIONS)
    assert [file.stat().st_mtime_ns for file in files] == before


def leftovers(project: Project, cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    """List the project's jobs, as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "conceptdepth", "jobs", *arguments],
        cwd=project.folder, env=os.environ | cluster.environment | {"COLUMNS": "120"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@FIRST
def test_jobs_of_a_folder_can_be_cancelled(cluster, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    project = Project(folder, tmp_path)
    (folder / "conceptdepth").symlink_to(Path(__file__).parents[2] / "conceptdepth")
    for place in (folder, tmp_path):
        assert cluster.command("sbatch", f"--chdir={place}", "--output=/dev/null", "--wrap=sleep 100").returncode == 0
    assert "Cancelled 1 job." in leftovers(project, cluster, "--cancel").stdout
    wait_for(lambda: [job["JobState"] for job in cluster.jobs() if job["WorkDir"] == str(folder)] == ["CANCELLED"])
    (other,) = [job for job in cluster.jobs() if job["WorkDir"] == str(tmp_path)]
    assert other["JobState"] in ("PENDING", "RUNNING")
    cluster.command("scancel", other["JobId"])
