"""Kills of processes of a workflow that runs: which one, what it did just then, and what is there afterwards."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from conceptdepth.activations import server
from project import OPTIONS, Project

SIGNALS = [signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGINT]
"""What is sent, as often as it stands here."""

WHOLE, SNAKEMAKE = 0.1, 0.15
"""Shares of kills that hit all processes at once, as a machine that stops does, and Snakemake; others hit its jobs and workers."""

MOST = 3
"""How often a process of one name is hit, so that all stages have their turn."""

WRITERS = 0.6
"""Share of kills that wait for a process that writes."""

PATIENCE = 15.0
"""Seconds to wait for one."""

HALF_WRITTEN = re.compile(r"\.(part|worker)$")
"""What names of files end in while they are written."""

SECOND_NAMES = re.compile(r"^\.(snakemake|syntax)$|\.kept(\.json)?$")
"""Hidden names that are no half-written files: Snakemake's memory, and finished cells that wait for those of their group."""

OF_ONE_RUN = {"started", "ended", "seconds", "peak_memory_mb", "measured", "seal"}
"""What a record says of one run alone."""

TIMED = {"results/audit.html": "</html>", "results/README.md": "-->"}
"""Pages that tell times, and how each ends."""


@dataclass(frozen=True)
class Kill:
    """A signal that was sent."""

    process: str
    """Snakemake, the worker, the rule of a job, or all of them."""
    signal: str
    writing: bool
    """Whether a process that was hit had a half-written file open."""


def processes(project: Project) -> list[psutil.Process]:
    """Return what runs in a project's folder: Snakemake, its jobs and theirs, and workers."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(project.folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def name_of(process: psutil.Process) -> str:
    """Return what a process is, as `Kill` calls it; what a job has started is called like the job."""
    for one in (process, *process.parents()):
        command = " ".join(one.cmdline())
        if job := re.search(r"/\.snakemake/scripts/tmp\w+\.(\w+)\.py", command):
            return job[1]
        if server.__name__ in command:
            return "worker"
        if "snakemake" in command:
            return "Snakemake"
    raise psutil.NoSuchProcess(process.pid)


def writes(process: psutil.Process) -> bool:
    """Tell whether a process has a half-written file open."""
    with suppress(OSError):
        for number in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):
                if HALF_WRITTEN.search(str(number.readlink())):
                    return True
    return False


def _if_there(ask: Callable, process: psutil.Process):
    """Return what is asked of a process, None if it is gone."""
    with suppress(psutil.Error):
        return ask(process)


def strike(project: Project, draw: random.Random, spared: Container[str]) -> Kill | None:
    """Choose processes, hold them, look what they do and send them a signal; None if there was none, or only spared ones."""
    number, kind, of_writers = draw.choice(SIGNALS), draw.random(), draw.random() < WRITERS
    if of_writers:
        writers = _writers(project)
    named = {process: name for process in processes(project) if (name := _if_there(name_of, process))}
    if kind < WHOLE and "all" not in spared:
        name, victims = "all", list(named)
    else:
        of_kind = {p: name for p, name in named.items() if (name == "Snakemake") == (kind < WHOLE + SNAKEMAKE)}
        wanted = [process for process, name in of_kind.items() if name not in spared]
        victims = [draw.choice((of_writers and [p for p in wanted if p in writers]) or wanted)] if wanted else []
        name = named[victims[0]] if victims else ""
    for victim in victims:
        _if_there(psutil.Process.suspend, victim)
    writing = any(writes(victim) for victim in victims)
    sent = [_if_there(lambda process: process.send_signal(number) or True, victim) for victim in victims]
    for victim in victims:
        _if_there(psutil.Process.resume, victim)
    return Kill(name, number.name, writing) if any(sent) else None


def _writers(project: Project) -> list[psutil.Process]:
    """Return the processes that write, after some time at most."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        those = processes(project)
        for _ in range(100):
            if found := [process for process in those if writes(process)]:
                return found
            time.sleep(0.005)
    return []


def start(project: Project, *targets: str) -> "subprocess.Popen[bytes]":
    """Start Snakemake, in a session of its own; what it says goes to the end of a file beside the project."""
    with open(_log(project), "ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *targets, *OPTIONS],
            cwd=project.folder, env=os.environ | project.variables(), stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip


def _log(project: Project) -> Path:
    return project.folder.with_suffix(".said")


def said(project: Project) -> str:
    """Return what all Snakemakes that were started have said."""
    return _log(project).read_text()


@dataclass
class Campaign:
    """Kills in runs of a project, whose results are known."""

    project: Project
    targets: Sequence[str]
    """What Snakemake is asked for; nothing is all."""
    known: Mapping[str, str]
    """What an undisturbed run writes (`content`)."""
    reset: Callable[[], None]
    """Takes away what a run has made, once it came to its end."""
    draw: random.Random
    kills: list[Kill] = field(default_factory=list)
    runs: int = 0
    """Snakemakes that were started."""
    ended: int = 0
    """Those that came to their end, after which all results were compared."""
    compared: int = 0
    """Files that lay there under their final names after a kill, and were compared."""
    different: list[str] = field(default_factory=list)
    """Those of them that were half-written, or other than they should be."""

    def go_on(self, kills: int, run: "subprocess.Popen[bytes] | None" = None) -> None:
        """Kill until so many kills have hit, in that run and in later ones, each on what the one before left.

        The first run after the last kill must come to its end.
        """
        code = None
        while len(self.kills) < kills:
            code = self._kill_in(run or start(self.project, *self.targets), kills)
            run = None
        if code != 0:
            assert self._kill_in(start(self.project, *self.targets), 0) == 0, said(self.project)[-5000:]

    def _kill_in(self, run: "subprocess.Popen[bytes]", kills: int) -> int:
        """Kill in a run, compare what it has left and return its exit code."""
        self.runs += 1
        while len(self.kills) < kills and works(self.project, run):
            time.sleep(self.draw.uniform(0, 3))
            hits = Counter(kill.process for kill in self.kills)
            spared = {name for name, count in hits.items() if count == MOST}
            if run.poll() is None and (kill := strike(self.project, self.draw, spared)):
                self.kills.append(kill)
        run.wait(timeout=900)
        found = content(self.project)
        self.compared += len(found)
        self.different += [name for name, is_there in found.items() if self.known.get(name) != is_there]
        if list((self.project.folder / ".snakemake/locks").glob("*")):
            assert self.project.snakemake("--unlock").returncode == 0
        if run.returncode == 0:
            assert found.keys() == self.known.keys()
            self.ended += 1
            if len(self.kills) < kills:
                self.reset()
        return run.returncode

    def table(self) -> str:
        """Return a table of what was hit, in Markdown."""
        lines = [
            "| what was hit | kills | SIGKILL | SIGTERM | SIGINT | while it wrote |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for process in [*sorted({kill.process for kill in self.kills}), None]:
            hit = [kill for kill in self.kills if process in (kill.process, None)]
            signals = [sum(kill.signal == name for kill in hit) for name in ("SIGKILL", "SIGTERM", "SIGINT")]
            cells = [process or "together", len(hit), *signals, sum(kill.writing for kill in hit)]
            lines.append(f"| {' | '.join(map(str, cells))} |")
        return "\n".join(lines)

    def summary(self) -> str:
        """Return the counts in words."""
        return (
            f"{len(self.kills)} kills in {self.runs} runs, {self.ended} of which ended by themselves; {self.compared} files "
            f"compared after them, {len(self.different)} different."
        )


def works(project: Project, run: "subprocess.Popen[bytes]") -> bool:
    """Wait until a job runs, and tell whether one does; none does once Snakemake has ended."""
    while run.poll() is None:
        if any(_if_there(name_of, process) not in ("Snakemake", None) for process in processes(project)):
            return True
        time.sleep(0.1)
    return False


def content(project: Project) -> dict[str, str]:
    """Return what there is under final names in the results, logs and benchmarks apart: a hash of each file.

    Of a record, without what belongs to one run alone; of a page that tells times, only whether it is whole.
    """
    results, found = project.folder / "results", {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and name.parts[0] not in ("logs", "benchmarks") and not hidden:
            found[name.as_posix()] = hashlib.sha256(_lasting(path)).hexdigest()
    return found


def _lasting(path: Path) -> bytes:
    """Return what the same job writes again."""
    if (end := TIMED.get(f"results/{path.name}")) and path.parent.name == "results":
        return b"whole" if path.read_text().rstrip().endswith(end) else b""
    if "provenance" not in path.parts:
        return path.read_bytes()
    record = {key: value for key, value in json.loads(path.read_text()).items() if key not in OF_ONE_RUN}
    record["upstream"] = [entry["path"] for entry in record["upstream"]]
    for key in ("inputs", "outputs"):
        record[key] = [entry for entry in record[key] if entry["path"] not in TIMED]
    if record["rule"] == "summarise_run":
        del record["id"]  # Which counts the page of the audit.
    return json.dumps(record, sort_keys=True).encode()


def left_behind(project: Project, sockets: Path) -> list[str]:
    """Return what should not be there when all is over: processes, files of workers, half-written and other hidden files.

    Workers are given some seconds to leave.
    """
    deadline = time.monotonic() + 60
    while (left := processes(project)) and time.monotonic() < deadline:
        time.sleep(0.5)
    hidden = [path for path in (project.folder / "results").rglob(".*") if not SECOND_NAMES.search(path.name)]
    return [*map(str, left), *map(str, hidden), *(str(path) for path in sockets.glob("conceptdepth-*/*"))]
