"""Exporting cells of a small run: names that look like something else, folders of other people, what cards keep quiet of."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from conceptdepth.ground.errors import UserError
from conceptdepth.interface import export
from conceptdepth.interface.bank import load_probe
from conceptdepth.interface.export import export_probes, left_out
from conceptdepth.models.fetch import fetch_model
from small_run import DATASETS, LAYERS, MODEL, QUANTIZATIONS
from tiny_model import save_tiny_model

CELL = "results/bank/smollm2-135m/fp32/NA.clean"
SHA = "a" * 64


def records_of(dataset, home):
    """What the jobs behind a cell would have recorded, by someone who works in a folder of that name."""
    own = {"wildcards": {}, "id": "f" * 64, "git": None, "ended": "now", "environment": {"versions": {}}}
    training = {
        "split": "grouped", "seeds": [42, 43, 44], "test_share": 0.4, "standardize": False, "C": 1.0,
    }  # fmt: skip
    jobs = {
        "train_probes": {"probes": training, "controls": {"targets": []}},
        "extract_activations": {
            "activations": {"weights": "fp32", "fixed_batch_tokens": None}, "model": {"tokenizer": "file"}, "perturbation": {},
        },
        "render_prompts": {
            "perturbation": {}, "prompts": {}, "dataset": {"template": {"layout": "text_first", "prompt": "?"}},
        },
        "prepare_dataset": {"dataset": {"source": {"path": f"{home}/claims.csv"}}},
    }  # fmt: skip
    files = {
        "inputs": [{"path": f"{home}/claims.csv", "sha256": SHA}],
        "outputs": [{"path": f"results/datasets/{dataset}.jsonl", "sha256": SHA}],
    }
    return {rule: {"rule": rule, "params": params, **own, **files} for rule, params in jobs.items()}


@pytest.fixture
def run(small_run, tmp_path, monkeypatch):
    """A folder with the results of a small run, whose records say that all is well."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    for part in small_run.iterdir():
        if part.name != "tables":
            (tmp_path / "results" / part.name).symlink_to(part)
    configuration = shutil.copytree(small_run / "tables", tmp_path / "results/tables") / "configuration.yaml"
    config = yaml.safe_load(configuration.read_text())
    config["run"] |= {"datasets": list(DATASETS), "quantizations": list(QUANTIZATIONS), "perturbations": ["clean"]}
    config["datasets"]["NA"] = config["datasets"]["cities"]
    configuration.write_text(yaml.safe_dump(config))
    weights = save_tiny_model(tmp_path / "home/models/weights")
    description = tmp_path / f"results/models/{MODEL}/model.json"
    description.parent.mkdir(parents=True)
    fetch_model(MODEL, {"path": str(weights)}, description, None)
    audit = SimpleNamespace(records=records_of("NA", tmp_path / "home"))
    monkeypatch.setattr(export, "_audited", lambda auditor, path: audit)
    monkeypatch.setattr(export, "hook_points", lambda *_, **__: [f"layers.{layer}" for layer in range(LAYERS)])
    return tmp_path


def test_a_dataset_may_be_called_what_pandas_takes_for_nothing(run):
    assert [str(folder.relative_to(run)) for folder in export_probes(directory=run, datasets="NA")] == [
        CELL, CELL.replace("fp32", "int8"),
    ]  # fmt: skip
    scores = pd.read_csv("results/tables/layer_scores.csv", dtype=str, keep_default_na=False)
    own = scores.query(
        "dataset == 'NA' and quantization == 'fp32' and site == 'mlp_input' and probe == 'logistic_regression' and target == 'concept'"
    ).astype({"accuracy": float, "layer": int})
    probe = load_probe(run / CELL)
    curve = probe.card["curves"][0]
    assert curve["accuracy"] == pytest.approx(own.groupby("layer")["accuracy"].mean().tolist())
    for seed, accuracies in own.groupby("seed"):
        assert curve["accuracy_by_seed"][seed] == accuracies.sort_values("layer")["accuracy"].tolist()
        assert load_probe(run / CELL, layer=2, seed=int(seed)).accuracy == curve["accuracy_by_seed"][seed][2]
    bounds = pd.read_csv("results/tables/layer_intervals.csv", keep_default_na=False)
    bounds = bounds[(bounds["dataset"] == "NA") & (bounds["quantization"] == "fp32") & (bounds["site"] == "mlp_input")]
    assert probe.interval == (
        bounds["low"].astype(float).iloc[probe.layer],
        bounds["high"].astype(float).iloc[probe.layer],
    )


def test_what_cannot_be_told_has_no_gap_and_what_can_has_one(run):
    def card_of(dataset):
        (folder,) = (each for each in export_probes(datasets=[dataset]) if each.parent.name == "fp32")
        return json.loads((folder / "card.json").read_text())

    for found in card_of("NA")["steering"]:
        assert abs(np.array(found["gaps"]) / found["deviations"]).max() < 0.7
    (first, *_) = card_of("cities")["steering"]
    assert first["gaps"][-1] > 1.2 * first["deviations"][-1]


def test_a_card_has_no_folders_of_whoever_made_it(run):
    export_probes(datasets="NA")
    card = json.loads((run / CELL / "card.json").read_text())
    assert card["model"]["source"] == {"path": "weights"}
    assert card["dataset"]["source"] == {"path": "claims.csv"}
    assert card["dataset"]["sources"] == [{"path": "claims.csv", "sha256": SHA}]
    for file in (run / CELL).rglob("*"):
        assert file.is_dir() or str(run).encode() not in file.read_bytes()


def test_the_page_says_how_to_open_the_model_and_what_classes_are_of_the_concept_alone(run):
    export_probes(datasets="NA")
    page = (run / CELL / "README.md").read_text()
    assert f'open_model("results/models/{MODEL}", weights="fp32", tokenizer="file")' in page
    assert "a decision above 0 of a probe of the concept says false" in page
    assert "Labels of control\\_task are drawn" in page
    assert "most were trained on in some split" in page


def test_only_files_that_the_last_export_wrote_are_replaced(run):
    export_probes(datasets="NA")
    (run / CELL / "README.md").write_text("old")
    export_probes(datasets="NA")
    assert (run / CELL / "README.md").read_text() != "old"
    (run / CELL / "steering/mine.pt").write_text("x")
    with pytest.raises(UserError, match=r"NA.clean has steering/mine.pt, which no export wrote; move it away, or name"):
        export_probes(datasets="NA")
    assert (run / CELL / "steering/mine.pt").read_text() == "x"
    (run / CELL).rename(run / "elsewhere")
    (run / CELL).symlink_to(run / "elsewhere")
    with pytest.raises(UserError, match="is no folder of exported probes; move it away"):
        export_probes(datasets="NA")
    assert (run / "elsewhere/steering/mine.pt").exists()


def test_the_bank_lies_with_the_run_unless_another_place_is_named(run, monkeypatch):
    (run / "away").mkdir()
    monkeypatch.chdir(run / "away")
    folders = export_probes(directory=run, datasets="NA", models=MODEL)
    assert {folder.parents[2] for folder in folders} == {run / "results/bank"}
    assert not list((run / "away").iterdir())


def test_what_is_left_out_is_said(run):
    path = run / "results/tables/configuration.yaml"
    config = yaml.safe_load(path.read_text())
    config["probes"]["kinds"], config["controls"]["random_weights"], config["drift"]["rerun"] = (
        ["mlp", "ridge"],
        True,
        True,
    )
    (run / "other/results/tables").mkdir(parents=True)
    (run / "other/results/tables/configuration.yaml").write_text(yaml.safe_dump(config))
    assert left_out(run / "other") == [
        "probes of `mlp`, which have no direction", "cells of the rerun", "cells of random weights",
    ]  # fmt: skip
    config["probes"]["kinds"], config["controls"]["random_weights"], config["drift"]["rerun"] = ["ridge"], False, False
    (run / "other/results/tables/configuration.yaml").write_text(yaml.safe_dump(config))
    assert left_out(run / "other") == []
