"""A disk that fills up at each stage: nothing half-written gets a final name, and with space again a rerun makes the same bytes."""

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from kills import content, left_behind
from project import Project

ROOM = 16 * 2**20
"""Bytes of the disk."""

PAGE = 4096
"""Bytes that such a disk gives at a time."""


@pytest.fixture
def on_small_disk(finished, tmp_path):
    """A finished project whose results lie on a disk of their own. Only root may mount one."""
    project = finished.copy(tmp_path / "project")
    results, aside = project.folder / "results", tmp_path / "results"
    results.rename(aside)
    results.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={ROOM}", "none"]
    if subprocess.run(["mount", *options, results], capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    subprocess.run(["cp", "--archive", f"{aside}/.", results], check=True)
    yield project
    subprocess.run(["umount", "--lazy", results], check=True)


@contextmanager
def nearly_full(project: Project, free: int):
    """Leave so many bytes on the disk."""
    ballast = project.folder / "results/ballast"
    with ballast.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(PAGE))
        except OSError:
            stream.truncate(stream.tell() - free // PAGE * PAGE)
    try:
        yield
    finally:
        ballast.unlink()


def one_job_a_rule(project: Project) -> dict[str, Path]:
    """Return the record of a job of each rule, before those that it was made from."""
    records = {}
    for path in (project.folder / "results/provenance").rglob("*.json"):
        record = json.loads(path.read_text())
        records[path] = (record["ended"], path.stat().st_mtime_ns), record["rule"]
    first_jobs = {records[path][1]: path for path in sorted(records, key=lambda path: records[path][0], reverse=True)}
    return dict(sorted(first_jobs.items(), key=lambda job: records[job[1]][0], reverse=True))


def fill_up(project: Project, rule: str, record: Path, known: dict[str, str]) -> str:
    """Do a job again with no space, with half of what it needs, and with enough; return a row of a table."""
    outputs = [project.folder / output["path"] for output in json.loads(record.read_text())["outputs"]]
    half = (sum(output.stat().st_size for output in outputs) + record.stat().st_size) // 2
    target = str(record.relative_to(project.folder))
    for output in (*outputs, record):
        output.unlink()
    ends = []
    for free in (0, half):
        with nearly_full(project, free):
            result = project.snakemake(target)
        ends.append(result)
        assert content(project).items() <= known.items(), "a file has its final name, but not its bytes"
    again = project.snakemake(target)
    assert again.returncode == 0, again.stderr
    assert content(project) == known
    assert ends[0].returncode == 1
    how = ["traceback" if "Traceback" in end.stderr else "sentence" if end.returncode else "done" for end in ends]
    return f"| {rule} | {how[0]} | {half:,} | {how[1]} | same bytes |"


@pytest.mark.parametrize("rules", [["train_probes"], pytest.param([], marks=pytest.mark.long)], ids=["one", "all"])
def test_a_full_disk_leaves_nothing_half_written_and_with_space_a_rerun_makes_the_same(
    on_small_disk, sockets, rules, capsys
):
    project, jobs = on_small_disk, one_job_a_rule(on_small_disk)
    known, table = (
        content(project),
        ["| rule | no space | bytes free | half the space | with space |", "| --- " * 5 + "|"],
    )
    for rule in rules or jobs:
        table.append(fill_up(project, rule, jobs[rule], known))
    assert left_behind(project, sockets) == []
    if not rules:
        with capsys.disabled():
            print("", *table, sep="\n")
