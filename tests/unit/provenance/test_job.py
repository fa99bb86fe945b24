"""What a job reads is what its records say, or the job does not begin."""

import json
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from conceptdepth.configuration import settings
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.jsonl import write_jsonl
from conceptdepth.provenance.job import job
from conceptdepth.provenance.record import JobRecord, read_record, record_id, sealed

MADE = "results/provenance/render_prompts/made.json"
KINDS = ["activations.h5", "prompts.jsonl", "table.csv"]


class Named(list):
    """Files as Snakemake gives them to a script: a list, some of them by name."""

    def __init__(self, **files):
        super().__init__(files.values())
        self.__dict__.update(files)


def snakemake(inputs):
    params = {"code": "", "software": settings.pins("probes"), "probes": {"C": 1.0}}
    return SimpleNamespace(
        rule="train_probes",
        wildcards={},
        params=params,
        input=[str(path) for path in inputs],
        output=Named(scores="results/scores.csv", record="results/provenance/train_probes/next.json"),
        log=["results/logs/next.log"],
        config={"execution": {"log_level": "INFO"}},
    )


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Files of each kind, and the record of the job that made them."""
    monkeypatch.chdir(tmp_path)
    with h5py.File(KINDS[0], "w") as file:
        file["vectors"] = np.arange(60.0).reshape(3, 20)
    write_jsonl(KINDS[1], [{"id": "a", "prompt": "Oslo is in Norway."}])
    pd.DataFrame({"layer": [0, 1], "accuracy": [0.5, 0.75]}).to_csv(KINDS[2], index=False)
    job_before = {"rule": "render_prompts", "script": "render_prompts.py", "wildcards": {}, "params": {}}
    JobRecord(**job_before, inputs=[], software=settings.pins("datasets")).write(KINDS, MADE)
    return [*KINDS, MADE]


def outcome(inputs, **options):
    """Run a job; return whether its work began, and its log."""
    began = False
    with suppress(SystemExit), job(snakemake(inputs), **options):
        began = True
        Path("results/scores.csv").write_text("layer\n")
    return began, Path("results/logs/next.log").read_text()


def flip(path, place, bit=0):
    content = bytearray(Path(path).read_bytes())
    content[place] ^= 1 << bit
    Path(path).write_bytes(content)


def test_an_undisturbed_job_runs_and_names_the_record_of_each_input(made):
    assert outcome(made) == (True, "")
    record = read_record("results/provenance/train_probes/next.json")
    assert [entry["record"] for entry in record["inputs"]] == [read_record(MADE)["id"]] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_one_flipped_bit_anywhere_in_an_input_stops_the_next_job_before_its_work(made, kind):
    whole = Path(kind).read_bytes()
    for place in {0, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
        flip(kind, place, bit=place % 8)
        began, said = outcome(made)
        assert not began
        assert f"Error: {kind} is not what {MADE} says was written" in said
        assert f"delete {kind} and run again to have it made anew" in said
        assert "Traceback" not in said
        Path(kind).write_bytes(whole)
    assert outcome(made)[0]


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b"", lambda b: b + b"\n", lambda b: b[::-1]])
def test_so_does_another_length_or_order(made, change):
    Path(KINDS[2]).write_bytes(change(Path(KINDS[2]).read_bytes()))
    began, said = outcome(made)
    assert (began, f"Error: {KINDS[2]} is not what" in said) == (False, True)


def test_how_many_inputs_are_not_as_written_is_said(made):
    flip(KINDS[0], 100)
    flip(KINDS[2], 3)
    assert f"Error: {KINDS[0]} (and 1 more of this job's inputs) is not what" in outcome(made)[1]


def test_an_edited_record_is_not_believed(made):
    """Neither one that was only edited, nor one that says what a damaged file is now, but not whole."""
    text = Path(MADE).read_text()
    for change in (lambda r: r.update(seconds=1000), lambda r: r["outputs"][0].update(sha256="0" * 64)):
        content = json.loads(text)
        change(content)
        Path(MADE).write_text(json.dumps(content))
        began, said = outcome(made)
        assert not began
        assert (
            f"Error: {MADE} was edited or damaged: its seal does not fit its content; delete it and run again" in said
        )
    content["outputs"][0] |= {"bytes": 1}
    Path(MADE).write_text(json.dumps(sealed(content | {"id": record_id(content)})))
    assert f"Error: {KINDS[0]} is not what {MADE} says" in outcome(made)[1], "nor the file, by a record of another"


def test_a_file_of_the_user_has_no_record_and_is_taken_as_it_is(made, tmp_path):
    Path("own.csv").write_text("text,label\n")
    assert outcome(["own.csv"]) == (True, "")
    flip("own.csv", 1)
    assert outcome(["own.csv", MADE]) == (True, "")


def test_a_job_that_looks_for_differences_itself_is_not_stopped(made):
    flip(KINDS[2], 3)
    flip(MADE, Path(MADE).read_bytes().index(b'"seconds": ') + 11)
    assert outcome(made, comparing=False) == (True, "")


def test_an_output_is_hashed_once_and_as_it_was_when_the_job_said_so(made):
    began = JobRecord(
        rule="a", script="train_probes.py", wildcards={}, params={}, inputs=[], software=settings.pins("probes")
    )
    said = began.written("prompts.jsonl")
    flip("prompts.jsonl", 3)
    began.write(["prompts.jsonl"], "results/provenance/a.json")
    assert read_record("results/provenance/a.json")["outputs"] == [said]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "\ud800", "1" * 5000, '{"outputs": 1}', "null"])
def test_what_cannot_be_a_record_is_a_sentence(made, text):
    Path(MADE).write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(UserError, match="is not a readable record; delete it and run again"):
        read_record(MADE)
