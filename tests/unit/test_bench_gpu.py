"""`make bench-gpu` in miniature: every tool gives vectors, and the table says what was done."""

import csv
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from conceptdepth.activations.extraction import extract
from conceptdepth.models.devices import tokens_of_a_pass

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import gpu  # noqa: E402
from gpu_models import FORMATS, random_model  # noqa: E402
from gpu_prompts import WORKLOADS, made_up_prompts, read_prompts  # noqa: E402

FOUND = [name for name in FORMATS if name in ("fp32", "bf16") or find_spec("bitsandbytes")]
TOOLS = ("loop", "sorted_batches", "ours")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    given = ["--miniature", "--device", "cpu", "--threads", "1", "--rounds", "1", "--int8-tokens", "64", "512"]
    assert gpu.main([*given, "--out", str(folder), "--scratch", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def rows(out):
    with open(out / "rows.csv", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_tool_ran_in_every_format(out, rows):
    found = [(row["format"], row["workload"], row["tool"]) for row in rows]
    assert set(found) == set(product(FOUND, WORKLOADS, TOOLS))
    passes = {row["pass_tokens"] for row in rows if (row["format"], row["tool"]) == ("int8", "ours")}
    assert passes == ({"64", "512"} if "int8" in FOUND else set())
    assert len((out / "table.md").read_text("utf-8").splitlines()) == len(rows) + 5


def test_speeds_are_positive_and_finite(rows):
    for row in rows:
        for column in ("of_gemm", "seconds", "first", "prompts_per_second", "mb_per_second"):
            assert 0 < float(row[column]) < np.inf


def test_vectors_are_those_of_float32(rows):
    most = {"fp32": 1e-4, "bf16": 0.1, "int8": 0.3, "nf4": 0.6}
    for row in rows:
        assert float(row["error"]) <= float(row["worst_layer"]) < most[row["format"]], row
        assert row["format"] == "fp32" or float(row["error"]) > 1e-4


def test_tokens_of_ours_are_those_that_extraction_counts(rows):
    body = random_model("miniature", torch.device("cpu")).model
    for workload, tokens in made_up_prompts().items():
        into = {"residual": np.empty((2, len(tokens), 64), np.float32)}
        work = extract(body, tokens, into=into, batch_tokens=tokens_of_a_pass(body), name="bench")
        (row,) = (row for row in rows if [row["format"], row["workload"], row["tool"]] == ["fp32", workload, "ours"])
        assert (int(row["computed"]), int(row["padded"])) == (work.tokens_computed, 0)


def test_only_what_is_asked_for_runs(tmp_path):
    given = ["--miniature", "--device", "cpu", "--threads", "1", "--rounds", "1", "--out", str(tmp_path)]
    gpu.main([*given, "--only", "bf16", "cities", "ours"])
    with open(tmp_path / "rows.csv", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["format"], row["workload"], row["tool"]) == ("bf16", "cities", "ours")


def test_a_tool_that_fails_does_not_end_the_others(tmp_path, monkeypatch, capsys):
    def fail(model, job):
        raise RuntimeError("no memory")

    monkeypatch.setitem(gpu.TOOLS, "loop", fail)
    given = ["--miniature", "--device", "cpu", "--threads", "1", "--rounds", "1", "--out", str(tmp_path)]
    gpu.main([*given, "--only", "fp32", "cities"])
    assert "fp32 cities loop FAILED: RuntimeError: no memory" in capsys.readouterr().out
    with open(tmp_path / "rows.csv", encoding="utf-8") as stream:
        assert [row["tool"] for row in csv.DictReader(stream)] == ["sorted_batches", "ours"]


def test_a_share_of_the_prompts(tmp_path):
    (tmp_path / "prompts.json").write_text('{"cities": [[1], [2], [3], [4]], "imdb": [[5, 6]]}', encoding="utf-8")
    assert read_prompts(tmp_path / "prompts.json", 0.5) == {"cities": [[1], [2]], "imdb": [[5, 6]]}


def test_few_prompts_stand_for_all():
    job = gpu.job_of([[number] for number in range(1000)], 0.5, Path())
    assert len(job.tokens) == 500
    assert (len(job.sample), job.sample[0], job.sample[-1]) == (gpu.SAMPLE, 0, 499)
