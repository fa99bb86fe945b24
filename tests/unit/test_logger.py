"""What the logger of `make run` knows of a run: which cells, how fast, and how long the rest may take."""

import logging
import os
import random
import time

import pytest
from snakemake_logger_plugin_conceptdepth.progress import Progress, Step, clock, span
from tqdm import tqdm


def step(number, rule="extract_activations", started=0.0, log=None, prompts=None) -> Step:
    return Step(number, rule, "cell", log, prompts, started)


def run(progress: Progress, rule: str, seconds: list[float], *, start: float, side_by_side: int = 1) -> float:
    """Let steps of a rule run, so many at once, and return the end of the last."""
    for number, took in enumerate(seconds):
        progress.start(step(number, rule, start))
        if number % side_by_side == side_by_side - 1:
            for ended in range(number - side_by_side + 1, number + 1):
                progress.finish(ended, start + took)
            start += took
    return start


def test_a_job_is_called_as_its_record_is():
    told = {
        "jobid": 3,
        "rule_name": "extract_activations__ablated",
        "output": ["results/a/b.h5", "results/provenance/extract_activations__ablated/bare/tiny/fp32/coins.clean.json"],
        "input": ["results/models/tiny/model.json", "results/prompts/coins.clean.jsonl"],
        "log": ["results/logs/x.log"],
    }
    record = logging.makeLogRecord(told)
    found = Step.of(record)
    assert (found.cell, str(found.prompts), found.started) == (
        "bare/tiny/fp32/coins.clean",
        "results/prompts/coins.clean.jsonl",
        record.created,
    )
    bare = Step.of(logging.makeLogRecord(told | {"rule_name": "audit_data", "output": ["a.csv"], "log": []}))
    assert (bare.cell, bare.prompts, bare.doing()) == ("", None, "")


def test_statements_a_second_are_those_of_the_prompts(tmp_path):
    (tmp_path / "prompts.jsonl").write_text("{}\n" * 120)
    assert step(1, prompts=tmp_path / "prompts.jsonl").speed(2.0) == ", 60 statements a second"
    assert step(1).speed(2.0) == ""


@pytest.mark.parametrize(
    ("bar", "elapsed", "words"),
    [
        ({"unit": "prompt", "total": 1496}, 10, "680 of 1496, 68.00 statements a second"),
        ({"unit": "prompt", "total": 1496}, 1360, "680 of 1496, 2.00 s a statement"),
        ({"unit": "layer", "total": 700, "desc": "cities, clean"}, 340, "680 of 700, 2.00 layer/s"),
        ({"unit": "B", "unit_scale": True, "total": 2_000}, 10, "680 of 2.00k, 68.0 B/s"),
    ],
)
def test_what_a_job_does_is_the_last_bar_in_its_log(tmp_path, bar, elapsed, words):
    log = tmp_path / "job.log"
    values = {"n": 680, "elapsed": elapsed, "prefix": bar.pop("desc", "")}
    log.write_text("12:00:00 loaded\n\r" + "x" * 9000 + "\r" + tqdm.format_meter(**values, **bar))
    assert step(1, log=log).doing() == words
    os.utime(log, (1, 1))
    assert step(1, log=log, started=2.0).doing() == "", "that of the last run"
    log.unlink()
    assert step(1, log=log).doing() == ""


@pytest.mark.parametrize("side_by_side", [1, 2])
def test_the_time_left_is_that_of_steps_like_those_that_have_ended(side_by_side):
    progress = Progress()
    progress.begin({"fetch_model": 1, "extract_activations": 10, "train_probes": 10}, 100.0)
    now = run(progress, "fetch_model", [4.0], start=100.0)
    assert progress.seconds_left(now) is None, "said before anything is known of most steps"
    now = run(progress, "extract_activations", [4.0] * 6, start=now, side_by_side=side_by_side)
    assert progress.seconds_left(now) is None
    now = run(progress, "train_probes", [2.0] * 4, start=now, side_by_side=side_by_side)
    spent, work = 4 + 24 + 8, 4 * 4 + 6 * 2
    assert progress.seconds_left(now) == pytest.approx(work * (now - 100.0) / spent)
    progress.start(step(99, "train_probes", now))
    assert progress.seconds_left(now + 1.0) < work * (now - 100.0) / spent
    progress.fail(99)
    assert (progress.failed, progress.done, progress.is_done()) == (1, 11, False)


def test_the_time_left_once_said_is_said_to_the_end():
    progress = Progress()
    progress.begin({"extract_activations": 6, "plot_depths": 1, "plot_accuracy": 1, "check_claims": 1}, 0.0)
    now = run(progress, "extract_activations", [4.0] * 3, start=0.0)
    said = [progress.seconds_left(now)]
    now = run(progress, "extract_activations", [4.0] * 3, start=now)
    said.append(progress.seconds_left(now))
    for rule in ("plot_depths", "plot_accuracy", "check_claims"):
        now = run(progress, rule, [4.0], start=now)
        said.append(progress.seconds_left(now))
    assert said == [24.0, 12.0, 8.0, 4.0, 0.0]


def test_the_time_left_never_grows():
    numbers = random.Random(1)
    progress, now, said = Progress(), 0.0, []
    progress.begin({"a": 40, "b": 40}, now)
    for number in range(80):
        progress.start(step(number, "ab"[number % 2], now))
        said.append(progress.seconds_left(now))
        now += numbers.expovariate(0.2)
        said.append(progress.seconds_left(now))
        progress.finish(number, now)
    said = [seconds for seconds in said if seconds is not None]
    assert len(said) > 100
    assert said == sorted(said, reverse=True)
    assert min(said) >= 0


def test_how_far_a_run_came():
    progress = Progress()
    progress.begin({"a": 2}, time.time() - 80)
    run(progress, "a", [1.0], start=0.0)
    assert progress.verdict() == "Stopped: 1 of 2 steps in 1:20"
    assert progress.finish(77, 1.0) is None, "a job that is no step, such as the rule `all`"
    run(progress, "a", [1.0], start=0.0)
    assert progress.verdict() == "Done: 2 steps in 1:20"


def test_seconds_are_written_for_people():
    assert [clock(seconds) for seconds in (-1, 0.4, 59.6, 80, 3725)] == ["0:00", "0:00", "1:00", "1:20", "1:02:05"]
    assert [span(seconds) for seconds in (0.04, 0.96, 3.4, 59, 80)] == ["0.0 s", "1.0 s", "3 s", "59 s", "1:20"]
