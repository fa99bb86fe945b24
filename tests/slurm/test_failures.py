"""What goes wrong on a cluster costs no work twice: too little memory or time, a failed cell, a lost node."""

import re
import time

from cluster import ACCOUNT, GPU_TYPE, Cluster
from on_cluster import (
    ACTIVATIONS,
    CELLS,
    PROMPTS,
    batched,
    finish,
    jobs_of,
    made_here,
    make,
    needs_slurm,
    run,
    start,
    wait_for,
)
from project import Project

pytestmark = needs_slurm


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
