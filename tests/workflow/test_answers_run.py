"""What the models themselves answer, and each of their layers: asked for; the default run knows nothing of it."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from test_reruns import GRID, Row, all_of, nothing, plan, replace, setting, with_run

TABLE = "results/tables/direct_answers.csv"
LENS = "results/tables/lens.csv"

CELLS = [
    f"tiny/{quantization}/{dataset}.clean" for quantization in GRID["quantizations"] for dataset in GRID["datasets"]
]

SCORES = {f"score_answers/{cell}" for cell in CELLS}
COINS = {job for job in SCORES if "/coins." in job}
OF_LAYERS = {"collect_lens", "plot_lens"}
AFTER_ANSWERS = {"collect_answers", "plot_answers", *OF_LAYERS}
AGAIN = [f"tiny/{quantization}/coins.clean" for quantization in GRID["quantizations"]]
"""Cells whose activations are extracted in the run that asks."""


def words(dataset: str, *answers: str):
    """Set the answers of a dataset's classes."""

    def change(config):
        for cls, answer in zip(config["datasets"][dataset]["classes"], answers):
            cls["answer"] = answer

    return lambda project: project.overlay(change)


@pytest.fixture(scope="module")
def answered(finished, tmp_path_factory):
    """The finished project after `snakemake answers`. Tests must leave it as it is."""
    project = finished.copy(tmp_path_factory.mktemp("answers") / "project")
    for cell in AGAIN:
        for path in (f"activations/{cell}.h5", f"probes/{cell}.csv"):
            (project.folder / "results" / path).unlink()
    change = all_of(
        with_run(models=["tiny"], perturbations=["clean"]),
        words("coins", "heads", "up"),  # The tiny tokenizer knows no yes and no.
        setting("execution", "extraction_threads", 2),  # Both cores: one job with a model at a time.
    )
    again = {f"{rule}/{cell}" for rule in ("extract_activations", "train_probes") for cell in AGAIN}
    assert plan(project, Row(change, set(), ("answers",))) == {*SCORES, *again, *AFTER_ANSWERS, "collect_scores"}
    result = project.snakemake("answers")
    assert result.returncode == 0, result.stderr
    return project


def test_each_cell_has_a_row_of_rates(answered):
    table = pd.read_csv(answered.folder / TABLE)
    assert [f"{r.model}/{r.quantization}/{r.dataset}.{r.perturbation}" for r in table.itertuples()] == CELLS
    sizes = {
        name: len(pd.read_json(answered.folder / f"results/datasets/{name}.jsonl", lines=True))
        for name in GRID["datasets"]
    }
    assert table["n"].tolist() == [sizes[name] for name in table["dataset"]]
    shares = table[["accuracy", "auc", "false_positive_rate", "false_negative_rate", "answered", "mass"]]
    assert shares.stack().between(0, 1).all()
    assert table["mass"].between(0, 1, inclusive="neither").all()
    balanced = table["majority"] == 0.5
    assert balanced.any()
    errors = (table["false_positive_rate"] + table["false_negative_rate"]) / 2
    assert table["accuracy"][balanced].to_numpy() == pytest.approx(1 - errors[balanced].to_numpy())


@pytest.mark.parametrize("quantization", GRID["quantizations"])
def test_activations_and_answers_share_one_load(answered, quantization):
    folder = answered.folder / "results/logs"
    logs = [
        *folder.glob(f"score_answers/tiny/{quantization}/*.log"),
        folder / f"extract_activations/tiny/{quantization}/coins.clean.log",
    ]
    text = "".join(path.read_text() for path in logs)
    assert text.count(f"loaded tiny as {quantization} on ") == 1
    assert text.count(f"tiny as {quantization} was loaded already") == len(logs) - 1 == len(GRID["datasets"])


def test_the_record_has_the_facts_of_the_worker(answered):
    record = json.loads((answered.folder / f"results/provenance/score_answers/{CELLS[0]}.json").read_text())
    assert record["environment"]["device"] == "cpu"
    assert record["measured"].keys() == {"seconds_load", "seconds_forward"}


def test_without_a_worker_answers_are_the_same(answered, tmp_path):
    project = answered.copy(tmp_path / "project")
    paths = [project.folder / f"results/{made}/{CELLS[0]}.csv" for made in ("answers", "lens")]
    before = [path.read_bytes() for path in paths]
    paths[0].unlink()
    setting("execution", "keep_model_loaded", False)(project)
    result = project.snakemake(f"results/answers/{CELLS[0]}.csv")
    assert result.returncode == 0, result.stderr
    assert [path.read_bytes() for path in paths] == before
    assert "loaded tiny as fp32 on " in (project.folder / f"results/logs/score_answers/{CELLS[0]}.log").read_text()


def test_each_statement_has_its_log_odds(answered):
    scores = pd.read_csv(answered.folder / "results/answers/tiny/fp32/claims.clean.csv")
    prompts = pd.read_json(answered.folder / "results/prompts/claims.clean.jsonl", lines=True)
    assert scores["id"].tolist() == prompts["id"].tolist()
    assert scores["label"].tolist() == prompts["label"].tolist()
    assert scores["log_odds"].nunique() == len(scores), "each prompt ends otherwise, and so does its answer"


def test_the_lens_of_the_last_layer_is_the_own_answer_in_files_and_tables(answered):
    own, layers = pd.read_csv(answered.folder / TABLE), pd.read_csv(answered.folder / LENS)
    for cell in CELLS:
        scores, lens = (pd.read_csv(answered.folder / f"results/{made}/{cell}.csv") for made in ("answers", "lens"))
        assert lens[["id", "label"]].equals(scores[["id", "label"]])
        last = [column for column in lens if column.startswith("layer_")][-1]
        assert lens[last].tolist() == scores["log_odds"].tolist()
        assert not np.allclose(lens["layer_0"], lens[last], rtol=0.01)
    last = layers[layers["layer"] == layers["n_layers"] - 1].reset_index(drop=True)
    for column in ("model", "quantization", "dataset", "perturbation", "n"):
        assert last[column].tolist() == own[column].tolist()
    for column in ("majority", "accuracy", "auc"):
        np.testing.assert_allclose(last[column], own[column], rtol=1e-12)


def test_each_cell_has_a_row_of_depths_of_its_layers(answered):
    depths, layers = pd.read_csv(answered.folder / "results/tables/lens_depth.csv"), pd.read_csv(answered.folder / LENS)
    assert [f"{r.model}/{r.quantization}/{r.dataset}.{r.perturbation}" for r in depths.itertuples()] == CELLS
    best = layers.groupby(["quantization", "dataset"], sort=False)[["accuracy", "auc"]].max()
    assert depths["peak_accuracy"].tolist() == pytest.approx(best["accuracy"].tolist())
    assert depths["peak_auc"].tolist() == pytest.approx(best["auc"].tolist())


def test_the_figure_of_the_lens_is_audited_back_to_the_weights(answered):
    svg = (answered.folder / "results/figures/lens.svg").read_text()
    for text in ("Coins", "Claims", "lens: the answer if this layer were the last", "own answer", "Accuracy"):
        assert text in svg
    said = answered.traced("results/figures/lens.png")
    for rule in ("score_answers", "collect_lens", "train_probes", "fetch_model"):
        assert rule in said


def test_the_figure_shows_all_datasets_and_is_audited_back_to_the_weights(answered):
    svg = (answered.folder / "results/figures/answers.svg").read_text()
    for text in ("Coins", "Claims", "probe, best layer", "own answer", "Area under the ROC curve"):
        assert text in svg
    assert (answered.folder / "results/figures/answers.png").read_bytes().startswith(b"\x89PNG")
    said = answered.traced("results/figures/answers.png")
    for rule in ("score_answers", "train_probes", "fetch_model"):
        assert rule in said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (nothing, set()),
        (setting("answers", "cue", "true ?"), SCORES | AFTER_ANSWERS),
        (words("coins", "coin", "up"), COINS | AFTER_ANSWERS),
        (setting("execution", "batch_tokens", 64), set()),
        (setting("depth", "jump_ratio", 1.2), OF_LAYERS),
        (setting("intervals", "draws", 50), OF_LAYERS),
        (replace("workflow_scripts/collect_answers.py", '"mass": cell["mass"].mean()', '"mass": cell["mass"].median()'), AFTER_ANSWERS - OF_LAYERS),
        (replace("workflow_scripts/conceptdepth/depth/lens.py", "keep_default_na=False", "keep_default_na=True"), OF_LAYERS),
    ],
)  # fmt: skip
def test_only_stale_answers_are_asked_for_again(answered, tmp_path, change, expected):
    planned = plan(answered.copy(tmp_path / "project"), Row(change, set(), ("answers",)))
    assert planned == expected


def test_tokens_of_an_int8_pass_are_part_of_its_answers(answered, tmp_path):
    project = answered.copy(tmp_path / "project")
    planned = plan(project, Row(setting("activations", "fixed_batch_tokens", "int8", 64), set(), ("answers",)))
    assert planned & SCORES == {job for job in SCORES if "/int8/" in job}


def test_the_default_run_has_nothing_to_do_with_answers(answered, tmp_path):
    before = plan(answered.copy(tmp_path / "before"), Row(nothing, set()))
    after = plan(answered.copy(tmp_path / "after"), Row(setting("answers", "cue", "true ?"), set()))
    assert after == before | {"record_configuration", "audit_results", "summarise_run"}
    assert not after & (SCORES | AFTER_ANSWERS)


def test_a_word_that_is_no_token_stops_its_cells_with_a_sentence(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    result = project.snakemake("results/answers/tiny/fp32/coins.clean.csv")
    assert result.returncode == 1
    said = result.stdout + result.stderr
    assert re.search(
        r"Error: datasets.coins.classes\[0\].answer: 'yes' is not a single token of tiny, in any casing", said
    )
    assert "Traceback" not in said
