"""What a notebook hands over is read as it is meant: arrays, ranges, columns, paths; and what is shown is short."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conceptdepth import Results, probe
from conceptdepth.ground.errors import UserError
from small_run import LAYERS

ONE = {"quantization": "fp32", "dataset": "cities", "perturbation": "clean"}


@pytest.fixture(scope="module")
def results(small_run):
    return Results(small_run)


@pytest.mark.parametrize(
    "layers",
    [np.arange(1, 3), pd.Index([1, 2]), pd.Series([1, 2], index=[7, 8]), {1, 2}, range(1, 3), (1, 2), [1.0, 2]],
)
def test_rows_are_chosen_by_whatever_lists_values(results, layers):
    pd.testing.assert_frame_equal(
        results.table("layer_scores", layer=layers), results.table("layer_scores", layer=[1, 2])
    )
    assert results.table("layer_scores", layer=np.int64(1)).equals(results.table("layer_scores", layer=1))


@pytest.mark.parametrize(("ask", "says"), [
    (lambda results: results.table("layer_scores", layer="1"), r"no layer '1' in .*layer_scores.* \(it is 1, not '1'\); there are 0, 1"),
    (lambda results: results.table("layer_scores", layer=np.array([0, 99])), r"no layer 99 in layer_scores of [^(]*; there are 0, 1"),
    (lambda results: results.vectors(perturbtion="clean"), r"there is no name 'perturbtion' \(did you mean 'perturbation'\?\); there are model, quantization, dataset, perturbation\.$"),
    (lambda results: results.statements(modl="x"), "there is no name 'modl'"),
    (lambda results: results.curve(prob="x"), r"no name 'prob' \(did you mean 'probe'\?\); there are model, .*site, position, probe\.$"),
    (lambda results: results.vectors("a", "b", "c", "d", "e"), "a cell has the names model, quantization, dataset, perturbation, and 5 were given"),
    (lambda results: results.curve("smollm2-135m", model="x"), "model was given twice, as 'smollm2-135m' and as 'x'"),
])  # fmt: skip
def test_what_does_not_exist_is_answered_by_what_does(results, ask, says):
    with pytest.raises(UserError, match=says):
        ask(results)


def test_a_folder_with_nothing_in_it_is_said(tmp_path):
    (tmp_path / "probes").mkdir()
    with pytest.raises(UserError, match=f"{tmp_path} has no model, quantization, dataset, perturbation: there is noth"):
        Results(tmp_path).cell()


# --- The embedding ----------------------------------------------------------------------------------------


def test_the_curve_of_the_embedding_is_its_one_layer(small_run, tmp_path):
    (tmp_path / "tables").mkdir()
    scores = pd.read_csv(small_run / "tables/layer_scores.csv", dtype=str, keep_default_na=False)
    one = scores[(scores["site"] == "residual") & (scores["layer"] == "2")]
    both = pd.concat([scores, one.assign(site="embedding", layer="0", n_layers="1")])
    both.to_csv(tmp_path / "tables/layer_scores.csv", index=False)
    results = Results(tmp_path)
    found = results.curve(**ONE, site="embedding")
    assert found["layer"].tolist() == [0]
    assert found["depth"].isna().all()
    assert found["accuracy"].tolist() == [results.curve(**ONE, site="residual")["accuracy"][2]]
    assert "embedding" not in results.curves()["site"].tolist()
    assert len(results.curves(**ONE, site=["embedding", "residual"])) == LAYERS + 1


# --- Probes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [range(3), np.arange(3), (0, 1, 2), pd.Index([0, 1, 2])])
def test_seeds_may_be_whatever_lists_numbers(results, seeds):
    found = probe(results.vectors(**ONE), kinds=np.array(["mass_mean"]), seeds=seeds, controls=("shuffled_labels",))
    assert found.settings.seeds == [0, 1, 2]
    assert found.scores["seed"].unique().tolist() == [0, 1, 2]
    assert found.scores["target"].unique().tolist() == ["concept", "shuffled_labels"]


@pytest.mark.parametrize(("options", "says"), [
    ({"controls": "shuffled_labels"}, "controls.targets: 'shuffled_labels' is not of type array"),
    ({"seeds": np.int64(1)}, "probes.seeds: 1 is not of type array"),
    ({"groups": ["a", np.nan] * 30}, "groups: number 1 is missing; give one for each statement"),
])  # fmt: skip
def test_what_is_no_list_or_has_gaps_is_said(results, options, says):
    with pytest.raises(UserError, match=says):
        probe(results.vectors(**ONE), **options)


def test_what_is_shown_is_short(results):
    vectors = results.vectors(**ONE)
    assert repr(vectors) == (
        "Vectors of 60 statements: mlp_input, last (5, 60, 8); residual, last (5, 60, 8); embedding, last (1, 60, 8)"
    )
    found = probe(vectors, kinds=["mass_mean", "ridge"], seeds=[1, 2])
    assert repr(found) == "Probes of 5 layers on 60 statements at mlp_input, last: mass_mean, ridge; seeds 1, 2"


# --- Paths ------------------------------------------------------------------------------------------------


def test_records_and_audits_take_paths_that_lead_into_the_folder(results, small_run, monkeypatch):
    expected = results.record("tables/concept_depth.csv")
    audit = results.audit("tables/concept_depth.csv")
    assert results.record(results.folder / "tables/concept_depth.csv") == expected
    assert results.audit(results.folder / "tables/concept_depth.csv") == audit
    monkeypatch.chdir(small_run.parent)
    for path in ("results/tables/concept_depth.csv", Path("tables/concept_depth.csv")):
        assert Results("results").record(path) == expected
        assert Results("results").audit(path) == audit
    with pytest.raises(UserError, match="no record in .* is of figures/depths.png"):
        results.record(results.figures["depths"].relative_to(results.folder))
