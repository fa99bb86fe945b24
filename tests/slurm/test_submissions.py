"""`snakemake --profile slurm` on a real SLURM: one node, two GPUs that are none, and the profile as it is shipped."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from cluster import GPUS, Cluster
from on_cluster import ACTIVATIONS, CELLS, MODELS, PROMPTS, jobs_of, made_here, make, needs_slurm, run, start, wait_for
from project import Project

pytestmark = needs_slurm


def span(job: dict[str, str]) -> tuple[pd.Timestamp, pd.Timestamp]:
    return pd.Timestamp(job["StartTime"]), pd.Timestamp(job["EndTime"])


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
