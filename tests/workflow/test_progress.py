"""What `make run` shows while it runs: on a terminal, and in a file or a pipe. A small workflow stands in for this one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import on_terminal

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
STEPS = 30

SNAKEFILE = """
rule all:
    input: expand("results/{n}.txt", n=range(30))

rule train_probes:
    output: txt="results/{n}.txt", record="results/provenance/train_probes/cell/{n}.json"
    log: "results/logs/{n}.log"
    shell:
        "echo said by {wildcards.n}; echo '5/9 [00:01<00:01, 3.50layer/s]' > {log}; sleep 1;"
        "touch {output}; test {wildcards.n} != {config[fails]} || (echo why it fails > {log}; exit 1)"
"""


def command(*, cores: int = STEPS, fails: int = -1) -> list[str]:
    options = ["--cores", str(cores), "--logger", "conceptdepth", "--keep-going", "--show-failed-logs"]
    return [sys.executable, "-m", "snakemake", *options, "--config", f"fails={fails}"]


@pytest.fixture
def folder(tmp_path):
    """A small workflow."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


VARIABLES = {"PYTHONPATH": str(SCRIPTS)}


@pytest.mark.parametrize(("rows", "columns", "fails"), [(24, 80, 3), (60, 200, -1), (5, 40, -1)])
def test_a_terminal_shows_what_runs_and_keeps_nothing_of_it(folder, rows, columns, fails):
    seen = on_terminal(command(fails=fails), folder=folder, variables=VARIABLES, rows=rows, columns=columns)
    assert seen.code == (fails in range(STEPS))

    areas = [area for area in map(area_of, seen.moments) if area]
    assert 1 < max(map(len, areas)) <= rows - 1
    for _, *below in areas:
        assert all(re.match(r"train_probes  cell/|and \d+ more$", line) for line in below)
    if rows == 5:  # However busy the machine is, more than two run at a time.
        assert any(line.startswith("and ") for area in areas for line in area)
    else:
        assert any("5 of 9, 3.50 layer/s" in line for area in areas for line in area)

    *said, last = seen.lines
    assert not [line for line in said if "cell/" in line and "results/" not in line]
    assert not [line for line in said if re.search("of 30 steps|and .* more", line)]
    assert sorted(line for line in said if line.startswith("said by")) == sorted(f"said by {n}" for n in range(STEPS))
    if fails < 0:
        assert re.fullmatch(r"Done: 30 steps in 0:\d\d", last)
    else:
        assert re.fullmatch(r"Stopped: 29 of 30 steps in 0:\d\d, 1 failed", last)
        assert said.count("why it fails") == len([line for line in said if line.startswith("Error in rule")]) == 1


def area_of(moment: list[str]) -> list[str]:
    """Return the lines on the screen from the one that counts steps."""
    heads = [number for number, line in enumerate(moment) if "of 30 steps" in line and "Stopped" not in line]
    assert len(heads) < 2, "a frame was left behind"
    return moment[heads[0] :] if heads else []


def test_a_pipe_gets_a_line_for_each_step_when_it_is_finished(folder):
    result = piped(folder, *command(cores=10, fails=3))
    first, *_, last = [line for line in result.stdout.splitlines() if not line.startswith("said by")]
    assert first == "30 steps to run"
    lines = re.findall(r"^\d+ of 30  .*$", result.stdout, re.MULTILINE)  # Jobs print into the same pipe.
    assert len(lines) == STEPS - 1
    for number, line in enumerate(lines, start=1):
        assert re.fullmatch(rf"{number} of 30  train_probes  cell/\d+  \d+(\.\d)? s(  \(about 0:\d\d left\))?", line)
    left = [int(found) for line in lines for found in re.findall(r"about 0:(\d\d) left", line)]
    assert len(left) > STEPS / 2
    assert left == sorted(left, reverse=True)
    assert re.fullmatch(r"Stopped: 29 of 30 steps in 0:\d\d, 1 failed", last)
    assert result.stderr.splitlines().count("why it fails") == 1


def test_what_is_wrong_before_a_run_is_said_once(folder):
    (folder / "Snakefile").write_text('raise WorkflowError("no such luck")\n')
    result = piped(folder, *command())
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("no such luck") == 1
    assert "Traceback" not in result.stderr


def piped(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=folder, env=os.environ | VARIABLES, capture_output=True, text=True, check=False
    )
