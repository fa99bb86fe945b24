"""What the models themselves answer: asked for, it makes its table and figure; the default run knows nothing of it."""

import re
import sys

import pandas as pd
import pytest
from test_reruns import GRID, Row, all_of, nothing, plan, replace, setting, with_run

TABLE = "results/tables/direct_answers.csv"

CELLS = [
    f"tiny/{quantization}/{dataset}.clean" for quantization in GRID["quantizations"] for dataset in GRID["datasets"]
]

SCORES = {f"score_answers/{cell}" for cell in CELLS}
COINS = {job for job in SCORES if "/coins." in job}
AFTER_ANSWERS = {"collect_answers", "plot_answers"}


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
    # The tiny tokenizer knows no yes and no.
    change = all_of(with_run(models=["tiny"], perturbations=["clean"]), words("coins", "heads", "up"))
    assert plan(project, Row(change, set(), ("answers",))) == {*SCORES, *AFTER_ANSWERS, "collect_scores"}
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


def test_each_statement_has_its_log_odds(answered):
    scores = pd.read_csv(answered.folder / "results/answers/tiny/fp32/claims.clean.csv")
    prompts = pd.read_json(answered.folder / "results/prompts/claims.clean.jsonl", lines=True)
    assert scores["id"].tolist() == prompts["id"].tolist()
    assert scores["label"].tolist() == prompts["label"].tolist()
    assert scores["log_odds"].nunique() == len(scores), "each prompt ends otherwise, and so does its answer"


def test_the_figure_shows_all_datasets_and_is_audited_back_to_the_weights(answered):
    svg = (answered.folder / "results/figures/answers.svg").read_text()
    for text in ("Coins", "Claims", "probe, best layer", "own answer", "Area under the ROC curve"):
        assert text in svg
    assert (answered.folder / "results/figures/answers.png").read_bytes().startswith(b"\x89PNG")
    result = answered.run(sys.executable, "workflow_scripts/audit.py", "results/figures/answers.png")
    assert result.returncode == 0, result.stdout + result.stderr
    for rule in ("score_answers", "train_probes", "fetch_model"):
        assert rule in result.stdout


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (nothing, set()),
        (setting("answers", "cue", "true ?"), SCORES | AFTER_ANSWERS),
        (words("coins", "coin", "up"), COINS | AFTER_ANSWERS),
        (setting("execution", "batch_tokens", 64), set()),
        (setting("depth", "jump_ratio", 1.2), set()),
        (replace("workflow_scripts/collect_answers.py", '"mass": cell["mass"].mean()', '"mass": cell["mass"].median()'), AFTER_ANSWERS),
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
    assert after == before | {"record_configuration", "audit_results"}
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
