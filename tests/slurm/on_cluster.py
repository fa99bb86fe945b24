"""Projects of tiny models on the cluster of the tests, run as a user would on its login node."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster import PROGRAMS, Cluster
from project import Project, make_project

missing = [program for program in PROGRAMS if not shutil.which(program)]
needs_slurm = pytest.mark.skipif(bool(missing), reason=f"no SLURM here: {', '.join(missing)} not found")

ON_CLUSTER = [
    "--profile", "slurm", "--configfile", "overlay.yaml",
    # The GPUs of these tests are none, which `device: cuda` of the profile would not put up with.
    "--config", "execution={device: auto}",
    # Of a site's patience these tests have none.
    "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10",
]  # fmt: skip

PATIENCE = 1500
"""Seconds after which a run hangs; beside other tests on a slow machine one takes a third of that."""

MODELS = ["tiny", "cached", "third"]
PROMPTS = [
    *(f"results/prompts/{dataset}.clean.jsonl" for dataset in ("coins", "claims")),
    "results/models/tiny/model.json",
]
ACTIVATIONS = "results/activations/tiny/fp32/index.csv"
CELLS = [f"{dataset}.clean" for dataset in ("coins", "claims")]


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
    code = snakemake.wait(timeout=PATIENCE)
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


def made_here(project: Project, *targets: str) -> None:
    """Make what a test is not about without the cluster, which waits between two looks at its queue."""
    result = project.snakemake(*targets)
    assert result.returncode == 0, result.stderr


def wait_for(condition, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
