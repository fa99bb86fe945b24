"""What a dry run takes, against `snakemake --version`, and how much of it is this workflow's own code.

PYTHONPATH=workflow_scripts python tests/benchmarks/dry_run_times.py
"""

import os
import pstats
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
OWN = ("rules", "workflow_scripts", "Snakefile")
"""Where this workflow's own code lies."""

PAPER = ("--dry-run", "--configfile", str(ROOT / "config/paper.yaml"))
"""The paper's grid: 486 cells."""


def main() -> None:
    """Print seconds of processor time, the least of three, and the share of own code in a profile."""
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "noise.yaml"
        overlay.write_text(yaml.safe_dump(ten_times()))
        version, paper, ten = (
            min(processor_seconds(arguments) for _ in range(3))
            for arguments in (["--version"], PAPER, [*PAPER, str(overlay)])
        )
    print(f"snakemake --version: {version:.2f} s")
    print(f"486 cells: {paper:.2f} s, {paper / version:.2f} times as long")
    print(f"4,860 cells: {ten:.2f} s, {ten / version:.1f} times as long")
    print(f"reading this workflow and calling its functions, in a profile of 486 cells: {own_share(PAPER):.1%}")


def ten_times() -> dict[str, dict[str, object]]:
    """Return an overlay with 19 kinds of noise in the place of one."""
    names = [f"noise{number}" for number in range(1, 20)]
    noise = {name: {"prepend": ["aaa", "bbb"], "seed": number} for number, name in enumerate(names)}
    return {"run": {"perturbations": ["clean", *names]}, "perturbations": noise}


def processor_seconds(arguments: Sequence[str]) -> float:
    """Return the seconds of processor time that Snakemake takes; less noisy than time on the wall."""
    before = os.times()
    command = [sys.executable, "-m", "snakemake", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def own_share(arguments: Sequence[str]) -> float:
    """Return the share of a profiled run that passes while this workflow is read or one of its functions runs.

    What these call, Snakemake's `expand` or a check by jsonschema, is in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        command = [sys.executable, "-m", "cProfile", "-o", str(profile), "-m", "snakemake", *arguments]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return share_of(pstats.Stats(str(profile)).stats)


def share_of(functions: Mapping[tuple[str, int, str], tuple]) -> float:
    """Return the share of the time below calls from other code into own code; functions are those of `pstats.Stats`."""
    total = sum(own_time for _, _, own_time, _, _ in functions.values())
    own = {name for name in functions if is_own(name[0])}
    entered = [
        below
        for name in own
        for caller, (_, _, _, below) in functions[name][4].items()
        # The Snakefile is read once; what it includes is below it.
        if caller not in own and (name[2] != "<module>" or Path(name[0]).name == "Snakefile")
    ]
    return sum(entered) / total


def is_own(file: str) -> bool:
    """Tell whether a file of code belongs to this workflow."""
    path = Path(file)
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OWN


if __name__ == "__main__":
    main()
