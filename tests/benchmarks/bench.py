"""Compare this workflow's extraction with the released code's loop and other tools: `make bench`.

    python tests/benchmarks/bench.py [--rounds 3] [--size 1] [--sources ../shared/sources]

Each tool runs in a process of its own, in an environment of its own under .venv/bench, and gets the same
weights, prompts and threads. Rounds alternate between the tools. The table goes to results/bench/table.md,
every measurement to results/bench/rounds.csv. Cities come from the default run; StrategyQA and IMDb are read
from the folder of sources and left out where they are absent.
"""

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pandas as pd
from conceptdepth.datasets.rows import read_prompts

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OUT = ROOT / "results/bench"
MODEL = ROOT / "results/models/smollm2-135m/weights"
CITIES = ROOT / "results/prompts/cities.clean.jsonl"

TOOLS = ["released_code", "transformers_batches", "nnsight", "transformer_lens", "concept_depth"]
"""Functions of contenders.py; the first is what the others are compared with."""

PACKAGES = {"nnsight": ["nnsight==0.8.1"], "transformer_lens": ["transformer-lens==4.3.0"]}
"""What a tool needs besides torch, transformers and accelerate."""

PROMPTS = {"cities": 96, "strategyqa": 64, "imdb": 16}
"""Prompts of each workload: the loop takes some ten seconds for each."""

STRATEGY_QA = (
    "Judge the question is true or false?\nQ: Will Queen Elizabeth be buried in the Pantheon?\n"
    "Let us think step by step. The stem of the sentence is Queen Elizabeth, burial, pantheon. Inference: First, the "
    "Pantheon is a church, so it is possible that she could be buried there. Second, Queen Elizabeth II is still alive, "
    "so she has not been buried yet. Third, even if she were to be buried in the Pantheon, it is unlikely that we would "
    "know about it ahead of time, so it is hard to say for sure.\npred_ans: no"
)
"""The instruction of the paper's released code (https://github.com/Luckfort/CD), which stands before each question."""

IMDB = "According to the movie review, judge whether it is Positive or Negative."


def main() -> int:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=float, default=1.0, help="1: 96 short, 64 long-prefix, 16 long prompts")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--sources", type=Path, default=ROOT.parent / "shared/sources")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS)
    arguments = parser.parse_args()
    if not MODEL.is_dir() or not CITIES.is_file():
        raise SystemExit("The benchmark needs the model and the prompts of the default run; run `make run` first.")
    OUT.mkdir(parents=True, exist_ok=True)
    workloads = write_workloads(arguments.sources, arguments.size)
    pythons = {tool: environment(tool) for tool in arguments.tools}
    rows = []
    for number in range(arguments.rounds):
        turn = number % len(arguments.tools)
        for workload in workloads:
            for tool in arguments.tools[turn:] + arguments.tools[:turn]:
                row = measure(pythons[tool], tool, workload, arguments.threads)
                rows.append({"round": number, "workload": workload, "tool": tool, **row})
                print(f"round {number + 1}, {workload}, {tool}: {row['seconds']:.2f} s", flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(OUT / "rounds.csv", index=False)
    text = summary(table, arguments)
    (OUT / "table.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def write_workloads(sources: Path, size: float) -> list[str]:
    """Write the prompts of each workload that is at hand, and return their names."""
    workloads = {"cities": [row["prompt"] for row in read_prompts(CITIES)]}
    if (sources / "StrategyQA_task.json").exists():
        examples = json.loads((sources / "StrategyQA_task.json").read_text("utf-8"))["examples"]
        workloads["strategyqa"] = [f"{STRATEGY_QA}{e['input']} Let us think step by step..." for e in examples]
    if (sources / "imdb_test_first1000_per_class.jsonl").exists():
        lines = (sources / "imdb_test_first1000_per_class.jsonl").read_text("utf-8").rstrip("\n").split("\n")
        reviews = [json.loads(line) for line in lines]
        workloads["imdb"] = [f"{review['text']} {IMDB}" for review in reviews]
    for name, prompts in workloads.items():
        (OUT / f"{name}.json").write_text(json.dumps(prompts[: int(size * PROMPTS[name])]), encoding="utf-8")
    return list(workloads)


def environment(tool: str) -> str:
    """Return the Python of a tool; make its environment, with this project's versions, if it is not there."""
    if tool not in PACKAGES:
        return sys.executable
    folder = ROOT / ".venv/bench" / tool
    python = str(folder / "bin/python")
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True)
        pins = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
        shared = [pin for pin in pins if pin.split("==")[0] in ("torch", "transformers", "accelerate")]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *shared, *PACKAGES[tool]], check=True)
        (folder / "installed").touch()
    return python


def measure(python: str, tool: str, workload: str, threads: int) -> dict[str, float]:
    """Run one round in a new process."""
    output = OUT / f"{workload}.{tool}.npz"
    command = [python, HERE / "contenders.py", tool, MODEL, OUT / f"{workload}.json", output, str(threads)]
    variables = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)
    if result.returncode:
        raise SystemExit(f"{tool} failed on {workload}:\n{result.stderr[-3000:]}")
    with np.load(output) as content:
        return {key: float(content[key]) for key in content.files if key != "vectors"}


def summary(table: pd.DataFrame, arguments: argparse.Namespace) -> str:
    """Return medians over the rounds as a Markdown table."""
    lines = [
        f"{arguments.threads} threads, medians of {arguments.rounds} rounds.",
        "",
        "| workload | tool | s | times the loop | tokens computed | padding | of GEMM speed | peak MB | largest difference |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    medians = table.groupby(["workload", "tool"], sort=False).median(numeric_only=True)
    for (workload, tool), row in medians.sort_index(level=0, sort_remaining=False).iterrows():
        loop = medians.loc[(workload, TOOLS[0]), "seconds"] if TOOLS[0] in arguments.tools else np.nan
        speed = table[(table["workload"] == workload) & (table["tool"] == tool)]
        of_gemm = (speed["flop"] / speed["seconds"] / speed["gemm"]).median()
        lines.append(
            f"| {workload} | {tool} | {row['seconds']:.2f} | {loop / row['seconds']:.1f} | {row['tokens']:.0f} | "
            f"{row['padded'] / row['tokens']:.0%} | {of_gemm:.0%} | {row['peak_mb']:.0f} | "
            f"{difference(workload, tool):.0e} |"
        )
    return "\n".join(lines) + "\n"


def difference(workload: str, tool: str) -> float:
    """Return how far a tool's vectors are from the loop's, relative to the largest value of their layer."""
    with np.load(OUT / f"{workload}.{TOOLS[0]}.npz") as one, np.load(OUT / f"{workload}.{tool}.npz") as other:
        scale = np.abs(one["vectors"]).max(axis=(1, 2), keepdims=True)
        return float((np.abs(one["vectors"] - other["vectors"]) / scale).max())


if __name__ == "__main__":
    sys.exit(main())
