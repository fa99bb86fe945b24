"""What models answer with their vectors changed: asked for; the default run knows nothing of it, and says what it needs."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from conceptdepth.depth.interventions import AGAINST, ALONG, ERASE, LEACE
from safetensors.numpy import load_file
from test_answers_run import words
from test_reruns import Row, all_of, nothing, plan, setting, with_run

CELLS = [f"tiny/fp32/{dataset}.clean" for dataset in ("coins", "claims")]
EFFECTS = {f"measure_effects/{cell}" for cell in CELLS}
CHOICES = {f"choose_interventions/{cell}" for cell in CELLS}
AFTER = {"collect_causal", "plot_causal", "check_use"}
METHODS = [ERASE, LEACE, AGAINST, ALONG]

NAMES = ["model", "quantization", "dataset", "perturbation"]


@pytest.fixture(scope="module")
def changed(finished, tmp_path_factory):
    """The finished project after `snakemake causal` of what is in the stream. Tests must leave it as it is."""
    project = finished.copy(tmp_path_factory.mktemp("causal") / "project")
    change = all_of(
        with_run(models=["tiny"], quantizations=["fp32"], perturbations=["clean"]),
        words("coins", "heads", "up"),  # The tiny tokenizer knows no yes and no.
        setting("activations", "sites", ["residual"]),
        setting("causal", "statements", 6),
        setting("execution", "extraction_threads", 2),
    )
    again = {f"{rule}/{cell}" for rule in ("extract_activations", "train_probes", "score_answers") for cell in CELLS}
    asked = plan(project, Row(change, set(), ("causal",)))
    assert asked == {*CHOICES, *EFFECTS, *AFTER, *again, "collect_lens", "collect_scores", "estimate_depth"}
    result = project.snakemake("causal")
    assert result.returncode == 0, result.stderr
    return project


def test_each_layer_that_was_changed_has_a_row_for_each_way(changed):
    table = pd.read_csv(changed.folder / "results/tables/causal.csv")
    for cell in CELLS:
        with h5py.File(changed.folder / f"results/causal/{cell}.h5") as file:
            layers, n = file["layer"][:], len(file["label"])
            assert file["changed_log_odds"].shape == (len(layers), 3 * 22 + 2, n)
            assert n >= 4  # All that are held out, of so few groups.
        model, quantization, texts = cell.split("/")
        names = dict(zip(NAMES, (model, quantization, *texts.split("."))))
        own = table[(table[list(names)] == pd.Series(names)).all(axis=1)]
        assert own["method"].tolist() == [method for method in METHODS for _ in layers]
        assert own["layer"].tolist() == layers.tolist() * 4
    assert (table["p"].between(1 / 21 - 1e-9, 1)).all()
    assert (table["effect_random_low"] <= table["effect_random_high"]).all()
    assert table["completeness"].notna().any()
    last = table[table["layer"] == table["n_layers"] - 1]
    np.testing.assert_array_equal(last["effect"], 0)  # No later block reads the token.
    assert (last["divergence"] > 0).any()  # But the next token of a neutral text is read there.


def test_answers_without_a_change_are_those_of_the_answers(changed):
    for cell in CELLS:
        own = pd.read_csv(changed.folder / f"results/answers/{cell}.csv").set_index("id")
        with h5py.File(changed.folder / f"results/causal/{cell}.h5") as file:
            said = own.loc[file["id"].asstr()[:]]
            np.testing.assert_allclose(file["log_odds"][:], said["log_odds"], atol=1e-4)
            np.testing.assert_allclose(file["mass"][:], said["mass"], atol=1e-5)
            assert said["label"].tolist() == file["label"][:].tolist()


def test_depths_are_those_of_the_layers(changed):
    folder = changed.folder / "results/tables"
    layers, depths = pd.read_csv(folder / "causal.csv"), pd.read_csv(folder / "causal_depth.csv")
    assert len(depths) == len(CELLS) * len(METHODS)
    assert depths["largest_effect"].notna().all()
    for row in depths.to_dict("records"):
        own = layers[(layers["dataset"] == row["dataset"]) & (layers["method"] == row["method"])]
        has = own.loc[own["has_effect"], "layer"] / row["n_layers"]
        counted = own[own["has_effect"]] if len(has) else own
        expected = [has.min(), has.max(), own["p"].min(), counted["effect"].max()]
        found = [row[name] for name in ("causal_onset", "last_effect", "p", "largest_effect")]
        np.testing.assert_allclose(found, expected)
        np.testing.assert_allclose(row["readout_gap"], row["causal_onset"] - row["onset_of_probe"])
    scores = pd.read_csv(folder / "layer_scores.csv")
    assert set(scores["site"]) == {"residual"}


def test_claims_about_what_is_used_are_undecided_with_so_few_cells(changed):
    claims = pd.read_csv(changed.folder / "results/tables/use_claims.csv")
    assert claims["quantity"].tolist() == ["readout_gap", "lens_gap", "effect_where_readable"]
    assert set(claims["verdict"]) == {"undecided"}


def test_what_was_found_is_said_of_each_cell_and_in_the_report(changed):
    said = (changed.folder / "results/causal/README.md").read_text().splitlines()[2:]
    depths = pd.read_csv(changed.folder / "results/tables/causal_depth.csv").query("method == 'leace'")
    assert len(said) == len(CELLS)
    for line, row in zip(said, depths.to_dict("records")):
        assert (f" of {row['n_layers']} (log-odds" in line) == (row["causal_onset"] >= 0)
        assert f"p = {row['p']:.2g}" in line
    result = changed.snakemake("causal", "--report", "report.html", "--report-stylesheet", "report/style.css")
    assert result.returncode == 0, result.stdout + result.stderr
    page = (changed.folder / "report.html").read_text()
    assert "What is used" in page
    assert said[0].partition("): ")[2][:40] in page


def test_records_name_what_vectors_were_changed_along(changed):
    record = json.loads((changed.folder / f"results/provenance/measure_effects/{CELLS[0]}.json").read_text())
    assert f"results/interventions/{CELLS[0]}.h5" in [entry["path"] for entry in record["inputs"]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (nothing, set()),
        (setting("causal", "deviations", 1), {*CHOICES, *EFFECTS, *AFTER}),
        (setting("causal", "neutral", ["Once"]), {*EFFECTS, *AFTER}),
    ],
)
def test_what_runs_again(changed, tmp_path, change, expected):
    assert plan(changed.copy(tmp_path / "project"), Row(change, set(), ("causal",))) == expected


def test_without_the_stream_it_says_what_it_needs(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    result = project.snakemake("causal", "--dry-run")
    assert result.returncode == 1
    assert "snakemake causal needs residual in activations.sites, as in config/causal.yaml." in (
        said := result.stdout + result.stderr
    )
    assert "Traceback" not in said


def test_directions_in_the_stream_are_exported_for_steering(changed, tmp_path):
    result = changed.copy(tmp_path / "project").conceptdepth(
        "export", "--model", "tiny", "--dataset", "claims", "--to", str(tmp_path)
    )
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "tiny/fp32/claims.clean"
    (found,) = json.loads((folder / "card.json").read_text())["steering"]
    directions = load_file(folder / found["file"])
    with h5py.File(changed.folder / "results/activations/tiny/fp32/claims.clean.h5") as file:
        vectors = file["activations/residual/last"][:].astype(float)
    with h5py.File(changed.folder / "results/probes/tiny/fp32/claims.clean.h5") as file:
        splits = file[f"residual/last/{found['probe']}/concept"].values()
        splits = [(split["test"][:], split["coefficients"][:, :-1]) for split in splits]
    for layer in range(3):
        units = [weights[layer] / np.linalg.norm(weights[layer]) for _, weights in splits]
        held_out = [np.std(vectors[layer][test] @ unit) for (test, _), unit in zip(splits, units)]
        assert found["deviations"][layer] == pytest.approx(np.mean(held_out))
        mean = np.mean(units, axis=0)
        np.testing.assert_allclose(directions[f"layer.{layer}"], mean / np.linalg.norm(mean), atol=1e-6)
    ((hook, step),) = torch.load(folder / found["lm_eval"], weights_only=True).items()
    assert hook == found["hook"] == f"layers.{found['peak_layer']}"
    np.testing.assert_array_equal(step["steering_vector"], directions[f"layer.{found['peak_layer']}"])
