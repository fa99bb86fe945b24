"""Results of a run from its files: what is there is found by name, what is not is answered by what is."""

import os
import re
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from conceptdepth import Results, probe
from conceptdepth.activations.store import open_activations
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import CELL, CURVE
from small_run import DATASETS, GROUPS, KNOWN_FROM, LAYERS, PERTURBATIONS, QUANTIZATIONS, WIDTH

ONE = {"quantization": "fp32", "dataset": "cities", "perturbation": "clean"}


@pytest.fixture(scope="module")
def results(small_run):
    return Results(small_run)


def test_the_cells_of_a_run_are_listed_in_its_order(results):
    cells = results.cells
    assert list(cells[list(CELL)].itertuples(index=False, name=None)) == [
        ("smollm2-135m", q, d, p) for q in QUANTIZATIONS for d in DATASETS for p in PERTURBATIONS
    ]
    assert cells[["tables", "vectors", "probes"]].all(axis=None)
    assert list(cells["dataset"].cat.categories) == list(DATASETS), "not by the alphabet"
    assert repr(results).endswith("4 cells, 3 tables")


def test_cells_that_only_files_have_are_listed_too(small_run, tmp_path):
    for part in ("activations/smollm2-135m/int8/NA.clean.h5", "probes/smollm2-135m/fp32/NA.clean.h5"):
        (tmp_path / part).parent.mkdir(parents=True)
        shutil.copy(small_run / part, tmp_path / part)
    (tmp_path / "activations/smollm2-135m/int8/.NA.clean.h5.1.kept").touch()
    found = Results(tmp_path).cells.astype(dict.fromkeys(CELL, "str"))
    assert found.to_numpy().tolist() == [
        ["smollm2-135m", "fp32", "NA", "clean", False, False, True],
        ["smollm2-135m", "int8", "NA", "clean", False, True, False],
    ]


@pytest.mark.parametrize(
    ("inner", "says"), [("", "give the folder `results` of a run"), ("results", "results may be one")]
)
def test_another_folder_is_refused(tmp_path, inner, says):
    (tmp_path / inner).mkdir(exist_ok=True)
    with pytest.raises(UserError, match=f"{tmp_path} is no folder of results: .*{says}"):
        Results(tmp_path)


# --- Curves -----------------------------------------------------------------------------------------------


def test_a_curve_is_the_mean_over_splits_with_the_intervals_of_the_run(results, small_run):
    curve = results.curve(**ONE, site="residual")
    scores = pd.read_csv(small_run / "tables/layer_scores.csv", keep_default_na=False)
    scores = scores[(scores[list(ONE)] == pd.Series(ONE)).all(axis=1) & (scores["site"] == "residual")]
    own = scores[scores["target"] == "concept"].groupby("layer")["accuracy"].mean()
    np.testing.assert_array_equal(curve["accuracy"], own)
    assert curve["layer"].tolist() == list(range(LAYERS))
    np.testing.assert_array_equal(curve["depth"], np.arange(LAYERS) / LAYERS)
    assert (curve["low"] < curve["accuracy"]).all()
    assert (curve["high"] > curve["accuracy"])[:KNOWN_FROM].all()
    assert curve["accuracy"][:KNOWN_FROM].max() < 0.75 < 0.9 < curve["accuracy"][KNOWN_FROM:].min()
    assert "description_length" not in curve, "a score that is missing everywhere is no column"


def test_names_that_are_left_out_are_taken_where_there_is_one(results):
    assert results.curve(**ONE, site="residual").equals(
        results.curve("smollm2-135m", *ONE.values(), site="residual", position="last", probe="logistic_regression")
    )
    with pytest.raises(
        UserError, match=r"has several: site is one of mlp_input, residual; say which, as site='mlp_input'"
    ):
        results.curve(**ONE)


def test_curves_of_controls_have_no_intervals(results):
    control = results.curves(**ONE, target="control_task")
    assert "low" not in control
    assert len(control) == 2 * LAYERS
    assert len(results.curves(dataset=["cities", "NA"])) == len(results.curves()) == 4 * 2 * LAYERS
    assert results.curves().groupby(list(CURVE), observed=True).ngroups == 8


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (
            {"dataset": "citis"},
            r"there is no dataset 'citis' in .*results \(did you mean 'cities'\?\); there are cities, NA\.",
        ),
        ({"dataset": "cities", "perturbation": "loud"}, r"no perturbation 'loud' in .*; there are clean\."),
        ({}, r"has several: quantization is one of fp32, int8; say which, as quantization='fp32'\."),
    ],
)
def test_a_cell_that_is_not_there_is_answered_by_those_that_are(results, wanted, says):
    with pytest.raises(UserError, match=says):
        results.vectors(**wanted)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda results: results.table("depth"), "has no table 'depth'; there are concept_depth, layer_scores, layer_inter"),
        (lambda results: results.table("layer_scores", layr=1), r"has no column 'layr' \(did you mean 'layer'\?\); it has model"),
        (lambda results: results.table("layer_scores", layer=5), r"no layer 5 in layer_scores of .*; there are 0, 1, 2, 3, 4\."),
        (lambda results: results.statements(**ONE, site="residual", layer=-1), "there is no layer -1 in"),
        (lambda results: results.record("tables/none.csv"), "no record in .*provenance is of tables/none.csv"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_answered_by_what_is(results, ask, says):
    with pytest.raises(UserError, match=says):
        ask(results)


# --- Vectors ----------------------------------------------------------------------------------------------


def test_vectors_are_those_of_the_file_and_stay_there(results, small_run):
    vectors = results.vectors(**ONE)
    with open_activations(small_run / "activations/smollm2-135m/fp32/cities.clean.h5") as file:
        for (site, position), array in vectors.arrays.items():
            assert isinstance(array, np.memmap)
            np.testing.assert_array_equal(array, file[f"activations/{site}/{position}"][:])
        np.testing.assert_array_equal(vectors.at(site="embedding"), file["embedding/last"][:])
        assert vectors.ids.tolist() == file["id"].asstr()[:].tolist()
        assert vectors.labels.tolist() == file["label"][:].tolist()
        assert vectors.n_tokens.tolist() == file["n_tokens"][:].tolist()
    assert vectors.at().shape == (LAYERS, 2 * GROUPS, WIDTH)
    with pytest.raises(ValueError, match="read-only"):
        vectors.at()[0, 0, 0] = 1


def test_no_vector_is_read_and_no_file_is_open_before_it_is_asked_for(small_run, tmp_path, monkeypatch):
    folder = tmp_path / "activations/m/fp32"
    folder.mkdir(parents=True)
    shutil.copy(small_run / "activations/smollm2-135m/fp32/cities.clean.h5", folder / "d.p.h5")
    read = h5py.Dataset.__getitem__

    def no_vectors(dataset, key):
        assert dataset.ndim < 3, "vectors were read"
        return read(dataset, key)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", no_vectors)
    vectors = Results(tmp_path).vectors()
    monkeypatch.undo()
    h5py.File(folder / "d.p.h5", "r+").close()  # HDF5 refuses that of a file that it has open.
    assert np.isfinite(vectors.at()[LAYERS - 1]).all()
    del vectors
    opened = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    assert not [path for path in opened if path.endswith("d.p.h5")]


def test_a_cell_without_its_file_is_said(small_run, tmp_path):
    shutil.copytree(small_run / "tables", tmp_path / "tables")
    with pytest.raises(
        UserError, match=r"there is no .*fp32/cities.clean.h5, the activations of smollm2-135m, fp32, cities"
    ):
        Results(tmp_path).vectors(**ONE)


# --- Statements -------------------------------------------------------------------------------------------


def test_statements_have_their_decisions_and_texts(results, small_run):
    rows = results.statements(**ONE, site="residual", layer=4)
    assert rows.columns.tolist() == [
        "seed",
        "layer",
        "id",
        "text",
        "prompt",
        "label",
        "group",
        "decision",
        "predicted",
        "right",
    ]
    with h5py.File(small_run / "probes/smollm2-135m/fp32/cities.clean.h5") as file:
        for seed, own in rows.groupby("seed"):
            split = file[f"residual/last/logistic_regression/concept/seed_{seed}"]
            np.testing.assert_array_equal(own["decision"], split["decision"][4])
            assert own["label"].tolist() == split["label"][:].tolist()
            assert own["id"].tolist() == file["id"].asstr()[:][split["test"][:]].tolist()
    assert rows["seed"].unique().tolist() == [42, 43, 44]
    assert (rows["prompt"] == "clean: " + rows["text"]).all()
    assert (rows["right"] == ((rows["decision"] > 0) == (rows["label"] == 1))).all()
    accuracy = rows.groupby("seed")["right"].mean().mean()
    assert accuracy == pytest.approx(results.curve(**ONE, site="residual")["accuracy"][4])


def test_statements_of_all_layers_hold_those_of_each(results):
    rows = results.statements(**ONE, site="residual")
    assert rows["layer"].unique().tolist() == list(range(LAYERS))
    one = rows[rows["layer"] == 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, results.statements(**ONE, site="residual", layer=2))


def test_texts_that_are_not_there_are_missing(small_run, tmp_path):
    shutil.copytree(small_run / "probes", tmp_path / "probes")
    rows = Results(tmp_path).statements(**ONE, site="residual", layer=0)
    assert rows[["text", "prompt"]].isna().all(axis=None)
    assert rows["id"].str.startswith("cities-").all()


# --- Figures, records, and what is imported ----------------------------------------------------------------


def test_figures_and_the_record_of_a_file(results, small_run):
    assert list(results.figures) == ["accuracy", "depths"], "in the order in which the run lists them"
    assert results.figures["depths"] == small_run / "figures/depths.png"
    assert results.record("tables/concept_depth.csv")["rule"] == "estimate_depth"


def test_the_settings_of_a_run_are_those_that_its_probes_had(results, small_run, tmp_path):
    own = probe(results.vectors(**ONE), **results.configuration["probes"])
    assert own.curves["accuracy"].tolist() == results.curve(**ONE, site="mlp_input")["accuracy"].tolist()
    shutil.copytree(small_run / "probes", tmp_path / "probes")
    with pytest.raises(UserError, match=r"there is no .*configuration.yaml, which a finished run has"):
        Results(tmp_path).configuration  # noqa: B018


def test_an_audit_says_what_was_changed(small_run, tmp_path):
    copy = shutil.copytree(small_run, tmp_path / "results")
    assert Results(copy).audit("tables/concept_depth.csv").verdict == "intact"
    with (copy / "tables/concept_depth.csv").open("a") as stream:
        stream.write("\n")
    audit = Results(copy).audit("tables/concept_depth.csv")
    assert audit.verdict == "changed since"
    assert [finding.path for finding in audit.findings] == ["results/tables/concept_depth.csv"]
    renamed = copy.rename(tmp_path / "others")
    with pytest.raises(UserError, match="a folder called `results`"):
        Results(renamed).audit("tables/concept_depth.csv")


def test_neither_torch_nor_snakemake_is_imported():
    import subprocess

    code = (
        "import sys; from conceptdepth import Results, probe\n"
        "print(sorted({'torch', 'transformers', 'snakemake', 'matplotlib', 'xarray', 'datasets'} & {*sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_names_of_the_package_are_imported_when_they_are_asked_for():
    import conceptdepth

    assert {*conceptdepth.interface.INTERFACE} <= {*dir(conceptdepth)}
    with pytest.raises(AttributeError, match=re.escape("module 'conceptdepth' has no attribute 'probes_'")):
        conceptdepth.probes_  # noqa: B018
