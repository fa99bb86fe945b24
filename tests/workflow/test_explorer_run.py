"""The explorer of a whole run: its numbers are those of the tables beside it, and its file is one of the run's results."""

import base64
import csv

import h5py
import numpy as np
import pandas as pd
import pytest
from conceptdepth.ground.names import CURVE
from conceptdepth.provenance.metadata import embedded_id
from conceptdepth.provenance.record import read_record
from pages import elements, explorer_data
from project import CELLS, MARKUP

PAGE = "results/explorer.html"
RECORD = "results/provenance/build_explorer.json"


@pytest.fixture(scope="module")
def page(finished):
    return (finished.folder / PAGE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def data(page):
    return explorer_data(page)


def curve_of(data, cell):
    model, quantization, name = cell.split("/")
    names = (model, quantization, *name.split("."))
    return next(curve for curve in data["curves"] if tuple(curve[key] for key in CURVE[:4]) == names)


def test_there_is_a_curve_for_each_cell_with_the_means_of_the_table(finished, data):
    scores = pd.read_csv(finished.folder / "results/tables/layer_scores.csv")
    assert len(data["curves"]) == len(CELLS)
    for curve in data["curves"]:
        rows = scores[(scores[list(CURVE)] == [curve[name] for name in CURVE]).all(axis=1)]
        for name, values in curve["scores"].items():
            assert values == pytest.approx(rows.groupby("layer")[name].mean().tolist(), abs=5e-7)


def test_tables_stand_in_it_as_they_are(finished, data):
    tables = finished.folder / "results/tables"
    assert {"concept_depth", "depth_differences", "claims", "activation_drift", "data_audit"} <= data["tables"].keys()
    for name, table in data["tables"].items():
        with (tables / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
            assert [table["columns"], *table["rows"]] == list(csv.reader(stream))


def test_a_statement_is_right_as_often_as_the_probes_were(finished, data):
    for cell in CELLS:
        curve = curve_of(data, cell)
        found = curve["statements"]
        right = np.frombuffer(base64.b64decode(found["right"]), np.uint8).reshape(len(found["layers"]), -1)
        ids = [data["statements"][curve["dataset"]]["ids"][place] for place in found["tested"]]
        with h5py.File(finished.folder / f"results/probes/{cell}.h5") as file:
            counted = dict.fromkeys(file["id"].asstr()[:], 0)
            splits = file["mlp_input/last/logistic_regression/concept"].values()
            for split in splits:
                for number, decision, label in zip(split["test"], split["decision"][-1], split["label"]):
                    counted[file["id"].asstr()[number]] += int((decision > 0) == label)
        assert right[-1].tolist() == [counted[name] for name in ids]
        assert right.sum(axis=1) == pytest.approx(
            np.array(curve["scores"]["accuracy"]) * curve["n_test"] * curve["n_splits"], abs=1e-3
        ), "if all splits hold out as many"


def test_texts_stand_in_it_only_if_the_configuration_says_so(data):
    claims, coins = (data["statements"][name] for name in ("claims", "coins"))
    assert "the city of oslo is in norway ." in claims["texts"]
    assert claims["note"] == f"Licence of the texts: none {MARKUP}."
    assert coins["texts"] is None
    assert "show_texts" in coins["note"]


def test_no_text_of_the_configuration_becomes_a_part_of_it(page, data):
    assert MARKUP in data["labels"]["model"]["tiny"]
    assert MARKUP in data["labels"]["dataset"]["coins"]
    assert MARKUP not in page
    assert not [name for _, own in elements(page) for name in own if name.startswith("on")]


def test_it_is_a_result_with_a_record_and_the_audit_knows_it(finished, data):
    record = read_record(finished.folder / RECORD)
    assert embedded_id(finished.folder / PAGE) == record["id"] == data["record"]
    audit = finished.conceptdepth("audit", PAGE)
    assert audit.returncode == 0, audit.stdout
    assert "train_probes" in audit.stdout
    assert f"<h2>{PAGE} " in (finished.folder / "results/audit.html").read_text()
    for curve in data["curves"]:
        cell = curve["file"].removeprefix("results/probes/").removesuffix(".csv")
        assert curve["record"] == read_record(finished.folder / f"results/provenance/train_probes/{cell}.json")["id"]
        assert (finished.folder / curve["file"]).is_file()


def test_the_same_run_makes_the_same_bytes(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    result = project.snakemake(PAGE, "--forcerun", "build_explorer")
    assert result.returncode == 0, result.stderr
    assert (project.folder / PAGE).read_bytes() == (finished.folder / PAGE).read_bytes()
