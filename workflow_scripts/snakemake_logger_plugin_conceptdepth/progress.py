"""What a run has done, what it is doing, and how long the rest may take. Times are in seconds since the epoch."""

import logging
import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

RECORD = re.compile(r"results/provenance/[^/]+/(.+)\.json$")
"""Output of a step that names its cell."""

PROMPTS = "results/prompts/"
RUNS_MODEL = ("extract_activations", "score_answers")
"""Rules whose steps read a prompt for each statement through a model."""

BAR = re.compile(r"(\S+)/(\S+) \[[^\]]*<[^\]]*, *([\d.]+)(\S+/\S+)\]")
"""What a bar of tqdm ends in: ``680/1496 [00:10<00:12, 63.2prompt/s]``, or ``1.20s/prompt``."""

UNITS = {"prompt/s": "statements a second", "s/prompt": "s a statement"}
"""Of a bar -> in words, where that differs."""

TAIL = 4096
"""Bytes at the end of a log in which its last bar is looked for."""


@dataclass(frozen=True)
class Step:
    """A job of Snakemake."""

    number: int
    rule: str
    cell: str
    """What it is about, as its record is named; empty where a rule has one job."""
    log: Path | None
    prompts: Path | None
    """The prompts that it reads through a model."""
    started: float

    @classmethod
    def of(cls, record: logging.LogRecord) -> "Step":
        """Read what Snakemake says of a job that starts."""
        told = record.__dict__
        named = (RECORD.search(path) for path in told["output"])
        runs_model = any(name in told["rule_name"] for name in RUNS_MODEL)
        return cls(
            number=told["jobid"],
            rule=told["rule_name"],
            cell=next((found[1] for found in named if found), ""),
            log=next(map(Path, told["log"]), None),
            prompts=next((Path(path) for path in told["input"] if runs_model and PROMPTS in path), None),
            started=record.created,
        )

    def speed(self, seconds: float) -> str:
        """Say how many statements a second a finished step read, behind a comma; nothing if it ran no model."""
        if self.prompts is None or not seconds or not self.prompts.is_file():
            return ""
        with self.prompts.open("rb") as stream:
            return f", {sum(1 for _ in stream) / seconds:.3g} statements a second"

    def doing(self) -> str:
        """Say how far the last bar in the log is; nothing if there is none yet."""
        try:
            if self.log is None or self.log.stat().st_mtime < self.started:  # Left by the last run.
                return ""
            with self.log.open("rb") as stream:
                stream.seek(max(0, self.log.stat().st_size - TAIL))
                bars = BAR.findall(stream.read().decode("utf-8", "replace"))
        except OSError:
            return ""
        if not bars:
            return ""
        done, total, rate, unit = bars[-1]
        return f"{done} of {total}, {rate} {UNITS.get(unit, unit)}"


class Progress:
    """The steps of a run, told by what Snakemake logs."""

    def __init__(self) -> None:
        self.total = self.done = self.failed = 0
        self.started = 0.0
        self.running: dict[int, Step] = {}
        self._waiting: Counter[str] = Counter()
        """Rule -> steps that have not ended."""
        self._took: defaultdict[str, list[float]] = defaultdict(list)
        """Rule -> seconds of each step that has ended."""
        self._left = math.inf

    def begin(self, steps: Mapping[str, int], now: float) -> None:
        """Take the number of steps of each rule."""
        self._waiting = Counter(steps)
        self.total, self.started = sum(steps.values()), now

    def start(self, step: Step) -> None:
        """Take a step that starts."""
        self.running[step.number] = step

    def finish(self, number: int, now: float) -> tuple[Step, float] | None:
        """Return a step that has succeeded and its seconds; None if it is not known."""
        step = self.running.pop(number, None)
        if step is None:
            return None
        self.done += 1
        self._waiting[step.rule] -= 1
        self._took[step.rule].append(now - step.started)
        return step, now - step.started

    def fail(self, number: int) -> None:
        """Take a step that has failed."""
        if step := self.running.pop(number, None):
            self.failed += 1
            self._waiting[step.rule] -= 1

    def is_done(self) -> bool:
        """Tell whether no step is left."""
        return self.done >= self.total

    def seconds_left(self, now: float) -> float | None:
        """Estimate how long the rest takes, from the steps that have ended; never more than was said before.

        None until most steps to go are of rules that have ended one: a guess would be nothing but one.
        """
        waiting = +self._waiting
        known = {rule: mean(seconds) for rule, seconds in self._took.items()}
        told = sum(count for rule, count in waiting.items() if rule in known)
        if not known or (self._left == math.inf and 2 * told < waiting.total()):
            return None
        running = [(step.rule, now - step.started) for step in list(self.running.values())]
        usual = mean(seconds for several in self._took.values() for seconds in several)
        work = sum(count * known.get(rule, usual) for rule, count in waiting.items())
        work -= sum(min(seconds, known.get(rule, usual)) for rule, seconds in running)
        spent = sum(map(sum, self._took.values())) + sum(seconds for _, seconds in running)
        side_by_side = max(1.0, spent / max(now - self.started, 1e-9))
        self._left = min(self._left, work / side_by_side)
        return self._left

    def verdict(self) -> str:
        """Say how far the run came."""
        took = clock(time.time() - self.started)
        if self.is_done():
            return f"Done: {self.total} steps in {took}"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"Stopped: {self.done} of {self.total} steps in {took}{failed}"


def clock(seconds: float) -> str:
    """Write seconds as minutes and seconds, ``1:20``, with hours in front where there are any."""
    minutes, rest = divmod(round(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """Write how long a step took: ``3 s``, ``0.4 s``, ``1:20``."""
    if seconds >= 60:
        return clock(seconds)
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
