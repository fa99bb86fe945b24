"""The paper's grid on a cluster, and ten times that, by simulation: the plan, its submissions, and SLURM jobs that sleep.

PYTHONPATH=workflow_scripts python tests/slurm/simulate.py
"""

import argparse
import math
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml
from cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())


def main() -> None:
    """Print a line for the paper's grid and one for ten times as many cells."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1, help="how long each SLURM job sleeps (1)")
    options = parser.parse_args()
    for perturbations in (2, 20):
        with tempfile.TemporaryDirectory() as folder:
            overlay = Path(folder) / "overlay.yaml"
            names = ["clean", *(f"noise{number}" for number in range(1, perturbations))]
            noise = {name: {"prepend": ["aaa", "bbb"], "seed": number} for number, name in enumerate(names[1:])}
            overlay.write_text(yaml.safe_dump({"run": {"perturbations": names}, "perturbations": noise}))
            seconds, jobs, files = plan(overlay)
            wanted = submissions(jobs)
            print(
                f"{jobs['extract_activations']:,} cells: {jobs.total():,} jobs, {files:,} files, dry run {seconds:.1f} s"
            )
            print(f"  submissions: {dict(wanted)}, together {wanted.total()}")
            with Cluster(Path(folder) / "cluster") as cluster:
                print(f"  jobs that sleep {options.seconds:g} s: {queue(cluster, wanted, options.seconds)}")


def plan(overlay: Path) -> tuple[float, Counter[str], int]:
    """Return the seconds of a dry run of the paper's grid under an overlay, its jobs by rule, and its output files."""
    command = [sys.executable, "-m", "snakemake", "-n", "--configfile", "config/paper.yaml", str(overlay)]
    started = time.perf_counter()
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    said = result.stdout + result.stderr
    jobs = Counter(
        {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE) if rule not in ("total", "all")}
    )
    written = re.findall(r"^ +(?:output|log|benchmark): (.*)$", said, re.MULTILINE)
    return seconds, jobs, len({file for line in written for file in line.split(", ")})


def submissions(jobs: Counter[str]) -> Counter[str]:
    """Return how many SLURM jobs the shipped profile makes of a plan, by what they do; the other jobs run where it runs."""
    components = PROFILE["group-components"]
    texts = jobs["prepare_dataset"]  # A component is a dataset with its prompts.
    return Counter({
        "texts": math.ceil(texts / components["texts"]),
        "models": jobs["index_activations"],
        "probes": math.ceil(jobs["train_probes"] / components["probes"]),
        "audit": jobs["audit_results"],
    })  # fmt: skip


def queue(cluster: Cluster, wanted: Counter[str], seconds: float) -> str:
    """Submit as many sleeping jobs, those of models with a GPU, and say how the queue behaves."""
    started = time.perf_counter()
    for kind, count in wanted.items():
        gpu = ["--partition=gpu", "--gres=gpu:1"] if kind == "models" else []
        for _ in range(count):
            words = ["sbatch", "--output=/dev/null", "--mem=100", *gpu, f"--wrap=sleep {seconds}"]
            assert cluster.command(*words).returncode == 0
    submitted = time.perf_counter() - started
    look = time.perf_counter()
    cluster.output("squeue", "--states=all", "--noheader")
    look = time.perf_counter() - look
    at_once = 0
    while running := cluster.output("squeue", "--noheader", "--format=%T").split():
        at_once = max(at_once, running.count("RUNNING"))
        time.sleep(0.2)
    done = time.perf_counter() - started
    states = Counter(job["JobState"] for job in cluster.jobs())
    return (
        f"submitted in {submitted:.1f} s, a look at the queue {look:.2f} s, at most {at_once} at once, "
        f"all done after {done:.0f} s: {dict(states)}"
    )


if __name__ == "__main__":
    main()
