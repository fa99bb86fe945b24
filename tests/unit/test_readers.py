"""Files that jobs wrote, damaged in thousands of ways: each reader reads them or says a sentence, in bounded time and memory."""

import ctypes
import json
import os
import shutil
import time

import fuzz
import h5py
import numpy as np
import pandas as pd
import pytest
from conceptdepth.activations.causal_cell import CausalCell
from conceptdepth.activations.changes import Changes, read_changes, write_changes
from conceptdepth.activations.effects import Answers
from conceptdepth.activations.store import new_activations, open_activations, read_labels, vectors_of, weights_of
from conceptdepth.configuration import settings
from conceptdepth.datasets.rows import read_prompts, read_statements
from conceptdepth.datasets.statements import load_statements
from conceptdepth.depth.changed_answers import read_effects
from conceptdepth.depth.draws import curves, design, open_draws
from conceptdepth.depth.lens import read_lens
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import file_sha256
from conceptdepth.ground.jsonl import write_jsonl
from conceptdepth.ground.names import CURVE, PROBED
from conceptdepth.interface.bank import load_probe
from conceptdepth.interface.folders import read_card, read_weights
from conceptdepth.models.weights import weight_files
from conceptdepth.probes.predictions import facts_of, read_coefficients, read_curves
from conceptdepth.provenance.audit import Auditor
from conceptdepth.provenance.comparison import compare_inputs
from conceptdepth.provenance.kept import keep, take_back
from conceptdepth.provenance.record import JobRecord, describe, read_record, sealed
from exported import write_folder

N, LAYERS, WIDTH = 12, 3, 6
ROWS = [
    {
        "id": f"s{n}",
        "text": f"Ōslo {n} is in Norway.",
        "prompt": f"Is it so? Ōslo {n} is in Norway.",
        "label": n % 2,
        "group": f"g{n // 2}",
        "span": f"Ōslo {n}",
        "text_at": [10, 10 + len(f"Ōslo {n} is in Norway.")],
        "span_at": [10, 10 + len(f"Ōslo {n}")],
    }
    for n in range(N)
]
RANDOM = np.random.default_rng(0)
FACTS = {"peak_memory_mb": 5, "measured": {"seconds_load": 0.5}}


def write_activations(path):
    size = {"n_layers": LAYERS, "d_model": WIDTH, "prompts": ROWS, "n_tokens": [5] * N}
    with new_activations(path, sites=["mlp_input", "residual"], **size) as file:
        for name, region in file.into.items():
            for layer in range(1 if name.startswith("embedding") else LAYERS):
                region[layer, np.arange(N)] = RANDOM.normal(size=(N, WIDTH)).astype("f4")
        file.attrs.update({"model": "tiny", "weights": "fp32", "sites": json.dumps({"mlp_input": "", "residual": ""})})


def read_activations(path):
    with open_activations(path) as file:
        weights_of(file)
        labels = read_labels(file)
        for vectors in vectors_of(file, embedding=True).values():
            assert {vectors[layer].shape for layer in range(len(vectors))} == {(len(labels.ids), vectors.shape[2])}


def write_probes(path):
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {"model": "tiny", "quantization": "fp32", "dataset": "d", "perturbation": "p", "weights": "fp32"}
        )
        file.attrs.update(
            {"sites": ["mlp_input", "embedding"], "positions": ["last"], "probes": ["logistic_regression"]}
        )
        for name in ("id", "group"):
            file.create_dataset(name, data=[row[name] for row in ROWS], dtype=h5py.string_dtype())
        file.create_dataset("label", data=np.array([row["label"] for row in ROWS], "i1"))
        for site in ("mlp_input", "embedding"):
            for seed in (1, 2):
                split = file.create_group(f"{site}/last/logistic_regression/concept/seed_{seed}")
                split.create_dataset("test", data=np.arange(4 * seed))
                split.create_dataset("decision", data=RANDOM.normal(size=(LAYERS, 4 * seed)))
                split.create_dataset("coefficients", data=RANDOM.normal(size=(LAYERS, WIDTH + 1)))
                split.create_dataset("converged", data=np.ones(LAYERS, "i1"))


def read_probes(path):
    facts_of(path, "dataset")
    for curve in read_curves(path, decisions=True):
        for split in curve.splits:
            assert curve.labels[split.test].shape == curve.ids[split.test].shape == split.decision[0].shape
        read_coefficients(path, *(curve.names[name] for name in PROBED))


def write_draws(path):
    with h5py.File(path, "w") as file:
        for model in ("a", "b"):
            names = dict.fromkeys(CURVE, "x") | {"model": model}
            curve = file.create_group("/".join(names.values()))
            curve.attrs.update({**names, "scale": 1.5, "df": 7.0, "above": True, "same_tokens_as": "last"})
            curve.create_dataset("jump_point", data=RANDOM.normal(size=20)).attrs["value"] = 0.25


def read_draws(path):
    with open_draws(path) as file:
        for curve in curves(file):
            design(curve)
            for quantity in curve.values():
                np.isfinite(quantity[:]).all()
                float(quantity.attrs["value"])


def write_rows(path):
    write_jsonl(path, ROWS)


def write_description(where):
    files = {"config.json": {"bytes": 2, "sha256": "0" * 64}, "model.safetensors": {"bytes": 9, "sha256": "1" * 64}}
    content = {"model_type": "llama", "files": files, "source": {"path": "."}, "where": where}
    return lambda path: path.write_text(json.dumps(content, indent=2))


def write_record(path):
    made = path.parent / "made.txt"
    made.write_text("made")
    job = {"rule": "train_probes", "script": "train_probes.py", "wildcards": {"model": "tiny"}, "params": {"C": 1.0}}
    JobRecord(**job, inputs=[str(made)], software=settings.pins("probes")).write([made], str(path))


def read_records(path):
    compare_inputs([], {str(path): read_record(path)})


def audit_records(path):
    """Whatever stands in a record, an audit ends in a verdict."""
    place = path.parent / "audited/results/provenance/train_probes/a.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(path.read_bytes())
    assert Auditor(path.parent / "audited", lambda file, folder: []).audit_all().verdict


def kept(folder):
    """Keep a cell, and return its path and that of the facts."""
    made = folder / "cell.h5"
    made.write_bytes(b"vectors")
    keep(describe(made), "a" * 64, FACTS)
    (facts,) = folder.glob(".*.kept.json")
    return made, facts


def write_kept(path):
    _, facts = kept(path.parent)
    path.write_bytes(facts.read_bytes())


def read_kept(path):
    """A cell is taken back with the facts that were kept, or not at all."""
    made, facts = kept(path.parent)
    facts.write_bytes(path.read_bytes())
    assert take_back(made, "a" * 64) in (None, FACTS)


def read_table_of(form):
    """Return what reads a user's table."""
    entry = {
        "source": {"path": "table"},
        "table": {"format": form},
        "columns": {"id": "id", "text": "text", "label": "label", "group": "group", "span": "span"},
        "classes": [{"name": "no", "values": [0]}, {"name": "yes", "values": [1]}],
    }
    return lambda path: load_statements("mine", entry, path)


def write_lens(path):
    names = {"model": "tiny", "quantization": "fp32", "dataset": "cities", "perturbation": "clean"}
    rows = [
        {**names, "id": row["id"], "label": row["label"], "group": row["group"], "layer_0": 0.5, "layer_1": -1.25}
        for row in ROWS
    ]
    pd.DataFrame(rows).to_csv(path, index=False)


CHANGES = Changes(
    read=RANDOM.normal(size=(2, 1, 3, WIDTH)).astype("f4"),
    write=RANDOM.normal(size=(2, 1, 3, WIDTH)).astype("f4"),
    at=RANDOM.normal(size=(2, 1, 3, 2)).astype("f4"),
    layers=np.array([0, 2], "i4"),
    methods=["erase"] * 3,
    directions=["concept", "random_1", "shuffled"],
    statements=np.arange(N, dtype="i4"),
    splits=np.zeros(N, "i4"),
    position="last",
)


def write_effects(path):
    """As `measure_effects` does."""
    answers = Answers(
        *(RANDOM.normal(size=N), RANDOM.random(N)),
        *(RANDOM.normal(size=(2, 3, N)), RANDOM.random((2, 1, N)), RANDOM.random((2, 3))),
    )
    fields = dict.fromkeys(("model", "name", "quantization", "device", "prompts", "changes", "cue", "record"), "")
    cell = CausalCell(
        **fields, batch_tokens=1, fixed_batch_tokens=False, threads=1, words=[], neutral=[], destination=str(path),
        cell={"model": "tiny", "quantization": "fp32", "dataset": "cities", "perturbation": "clean"},
    )  # fmt: skip
    cell._write(CHANGES, answers, ROWS)


def write_exported(name):
    """A file of a folder of exported probes."""

    def write(path):
        write_folder(path.parent / "exported")
        path.write_bytes((path.parent / "exported" / name).read_bytes())

    return write


def read_exported_card(path):
    shutil.copy(path, path.parent / "exported/card.json")
    load_probe(path.parent / "exported")


def read_sealed_card(path):
    """Whoever makes such a folder can seal what is in it, so that all of it is read, and put around a text."""
    folder = path.parent / "exported"
    try:
        content = json.loads(path.read_text())
        (folder / "card.json").write_text(json.dumps(sealed(content)))
    except (ValueError, AttributeError, RecursionError):
        raise UserError("it is no JSON, and so no card") from None
    probe = load_probe(folder)
    probe._presented([{"id": "1", "text": "A text.", "label": 0, "group": "1"}])
    assert repr(probe)


def read_exported_weights(path):
    """Whoever makes such a folder can name the damaged file's own hash in it, so that it is opened."""
    folder = path.parent / "exported"
    card = read_card(folder) | {"files": {"probes.safetensors": file_sha256(path)}}
    shutil.copy(path, folder / "probes.safetensors")
    curve = card["curves"][0]
    name = "/".join(curve[key] for key in ("site", "position", "probe", "target"))
    read_weights(folder, card, [f"{name}/seed_{seed}" for seed in curve["seeds"]], 3, 1)


READERS = {
    "activations": (write_activations, read_activations),
    "probes": (write_probes, lambda path: read_probes(str(path))),
    "draws": (write_draws, read_draws),
    "changes": (lambda path: write_changes(path, CHANGES, "1"), read_changes),
    "effects": (write_effects, read_effects),
    "lens": (write_lens, lambda path: read_lens(str(path))),
    "prompts": (write_rows, read_prompts),
    "statements": (write_rows, read_statements),
    "model.json": (write_description({"folder": "."}), lambda path: weight_files(path, ".")),
    "model.json of the hub": (
        write_description({"hf": "tests/none", "revision": "0" * 40}), lambda path: weight_files(path, "."),
    ),
    "record": (write_record, read_records),
    "record in an audit": (write_record, audit_records),
    "kept": (write_kept, read_kept),
    "card of exported probes": (write_exported("card.json"), read_exported_card),
    "card of exported probes, sealed again": (write_exported("card.json"), read_sealed_card),
    "exported probes": (write_exported("probes.safetensors"), read_exported_weights),
    "parquet": (lambda path: pd.DataFrame(ROWS).to_parquet(path), read_table_of("parquet")),
    "table in JSON Lines": (write_rows, read_table_of("jsonl")),
    "table in CSV": (lambda path: pd.DataFrame(ROWS).to_csv(path, index=False), read_table_of("csv")),
}  # fmt: skip

ALWAYS_A_SENTENCE = ["model.json of the hub"]
"""Readers for which there is nothing to be read, damaged or not."""


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("long", [False, pytest.param(True, marks=pytest.mark.long)], ids=["short", "long"])
def test_a_damaged_file_is_read_or_answered_by_a_sentence(tmp_path, monkeypatch, name, long):
    monkeypatch.chdir(tmp_path)
    write, read = READERS[name]
    write(tmp_path / "whole")
    if name not in ALWAYS_A_SENTENCE:
        read(tmp_path / "whole")
    until = fuzz.for_seconds(600) if long else lambda number: number >= 300
    seed = time.time_ns() if long else 0
    tally = fuzz.outcomes(read, (tmp_path / "whole").read_bytes(), tmp_path / "damaged", seed=seed, until=until)
    print(f"{name}: {tally}")
    assert not tally.bad, f"{tally}; by seed and number of the mutant: {tally.bad}"
    assert tally.counts.total() >= 300


def hang(path):
    while True:
        pass


def take_memory(path):
    return bytearray(2 * fuzz.MORE_MEMORY)


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda path: path.read_bytes(), "read"),
        (lambda path: json.loads("{"), "traceback"),
        (take_memory, "traceback"),
        (hang, "hang"),
        (lambda path: ctypes.string_at(0), "crash"),
        (lambda path: os.kill(os.getpid(), 9), "crash"),
    ],
)
def test_what_must_not_be_is_seen(tmp_path, monkeypatch, read, outcome):
    monkeypatch.setattr(fuzz, "SECONDS", 1)
    monkeypatch.setattr(fuzz, "BATCH", 1)
    tally = fuzz.outcomes(read, b"content", tmp_path / "damaged", seed=0, until=lambda number: number >= 1)
    assert tally.counts == {outcome: 1}
    assert bool(tally.bad) == (outcome != "read")


# --- HDF5 -------------------------------------------------------------------------------------------------


@pytest.fixture
def activations(tmp_path):
    write_activations(tmp_path / "cell.h5")
    return tmp_path / "cell.h5"


def replaced(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def refused(path, why):
    begun = time.monotonic()
    with pytest.raises(UserError, match=f"{path.name} is damaged; delete it and run again .*{why}"):
        open_activations(path)
    assert time.monotonic() - begun < 5


def test_a_file_that_claims_more_than_it_holds_is_refused_before_anything_is_read(activations):
    """2^60 statements in the place of 12, at every dataset."""
    replaced(activations, N.to_bytes(8, "little"), (2**60).to_bytes(8, "little"))
    refused(activations, "")


def test_strings_that_the_library_would_read_without_end_are_refused(activations):
    """The size of an object makes the step to the next one zero."""
    content = activations.read_bytes()
    first = content.index(b"GCOL") + 16
    activations.write_bytes(content[: first + 8] + (2**64 - 16).to_bytes(8, "little") + content[first + 16 :])
    refused(activations, "has a size that cannot be")


@pytest.mark.parametrize("name", ["activations/mlp_input/last", "embedding/last", "label", "n_tokens", "id", "group"])
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"chunks": True, "compression": "gzip"}, "in one piece"),
        ({"external": [("elsewhere", 0, h5py.h5f.UNLIMITED)]}, "in one piece"),
        ({"shape": (2,) * 4}, "of its kind"),
        ({"dtype": "c8"}, "of its kind"),
    ],
)
def test_a_dataset_of_another_kind_is_refused(activations, name, how, why):
    with h5py.File(activations, "r+") as file:
        whole = file[name]
        made = {"shape": whole.shape, "dtype": whole.dtype} | how
        del file[name]
        file.create_dataset(name, **made)
    refused(activations, why)


@pytest.mark.parametrize("name", ["activations/mlp_input/last", "embedding/last", "label", "n_tokens", "id", "group"])
def test_a_dataset_of_one_statement_less_is_refused(activations, name):
    with h5py.File(activations, "r+") as file:
        less = file[name][:-1] if file[name].ndim == 1 else file[name][:, :-1]
        dtype = file[name].dtype
        del file[name]
        file.create_dataset(name, data=less, dtype=dtype)
    refused(activations, "do not fit each other")


def test_a_dataset_that_is_missing_is_named(activations):
    with h5py.File(activations, "r+") as file:
        del file["n_tokens"]
    refused(activations, "n_tokens")


# --- JSON Lines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"label": 2}, {"label": True}, {"label": "0"}, {"label": None}, {"id": 7}, {"group": None}, {"prompt": ["a"]},
        {"prompt": "a\0b"}, {"id": "\ud800"},
    ],
)  # fmt: skip
def test_a_row_that_readers_cannot_use_is_named(tmp_path, row):
    lines = [json.dumps(one) for one in (ROWS[0], ROWS[1] | row, ROWS[2])]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    with pytest.raises(
        UserError, match=r"p.jsonl is damaged: row 2 is no object with id, prompt, label and group; delete"
    ):
        read_prompts(tmp_path / "p.jsonl")


OF_PROMPTS = ["text_at", "span_at"]


@pytest.mark.parametrize(
    "place",
    [
        None, 7, "10", {}, [], [10], [10, 14, 15], [10.0, 14], [True, 14], ["10", "14"], [-1, 14], [14, 14], [14, 10],
        [10, 999], [10, 10**99],
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", OF_PROMPTS)
def test_a_place_where_nothing_can_stand_is_named(tmp_path, name, place):
    write_jsonl(tmp_path / "p.jsonl", [ROWS[0], ROWS[1] | {name: place}])
    with pytest.raises(
        UserError, match=f"p.jsonl is damaged: in row 2, {name} does not fit the prompt or the rows before"
    ):
        read_prompts(tmp_path / "p.jsonl")


def test_a_span_outside_the_text_is_named(tmp_path):
    write_jsonl(tmp_path / "p.jsonl", [ROWS[0] | {"span_at": [0, 5]}])
    with pytest.raises(UserError, match="in row 1, span_at does not fit the prompt"):
        read_prompts(tmp_path / "p.jsonl")


@pytest.mark.parametrize("span", [None, 7, "", "Oslo", ["Ōslo 1"]])
def test_a_span_that_does_not_stand_in_the_text_is_named(tmp_path, span):
    write_jsonl(tmp_path / "s.jsonl", [ROWS[0], ROWS[1] | {"span": span}])
    with pytest.raises(UserError, match=r"s.jsonl is damaged: in row 2, span does not fit the text or the rows before"):
        read_statements(tmp_path / "s.jsonl")


@pytest.mark.parametrize(("read", "name"), [(read_statements, "span"), *((read_prompts, name) for name in OF_PROMPTS)])
@pytest.mark.parametrize("lacking", [0, 1])
def test_all_rows_have_a_place_or_none_has(tmp_path, read, name, lacking):
    rows = [{key: value for key, value in row.items() if key != name or n != lacking} for n, row in enumerate(ROWS[:3])]
    write_jsonl(tmp_path / "r.jsonl", rows)
    with pytest.raises(UserError, match=f"r.jsonl is damaged: in row 2, {name} does not fit"):
        read(tmp_path / "r.jsonl")


def test_rows_without_a_span_are_read(tmp_path):
    rows = [{key: value for key, value in row.items() if key not in ("span", "span_at")} for row in ROWS]
    write_jsonl(tmp_path / "r.jsonl", rows)
    assert read_prompts(tmp_path / "r.jsonl") == read_statements(tmp_path / "r.jsonl") == rows


def test_prompts_of_an_older_version_are_called_that(tmp_path):
    rows = [{key: row[key] for key in ("id", "prompt", "label", "group")} for row in ROWS]
    write_jsonl(tmp_path / "p.jsonl", rows)
    with pytest.raises(UserError, match=r"p.jsonl is of an older version: .* delete it and run again\."):
        read_prompts(tmp_path / "p.jsonl")


@pytest.mark.parametrize("content", [b"", b"\n\n", b" "])
def test_a_file_without_rows_is_damaged(tmp_path, content):
    (tmp_path / "p.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=r"p.jsonl is damaged: it is empty; delete"):
        read_statements(tmp_path / "p.jsonl")


def test_other_line_ends_in_a_text_end_no_row(tmp_path):
    rows = [ROWS[0] | {"text": "a\u2028b\u0085c\r" + ROWS[0]["text"]}, ROWS[1]]
    write_jsonl(tmp_path / "s.jsonl", rows)
    assert read_statements(tmp_path / "s.jsonl") == rows
