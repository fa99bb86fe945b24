"""Confounds taken out of features in a whole run of one model: scores and depths beside those of the concept as it is."""

import pandas as pd
import pytest
from conceptdepth.ground.names import CURVE
from test_reruns import all_of, setting, with_run

NAMES = list(CURVE)
TABLE = "results/tables/partial_depth.csv"
CHOSEN = ["length", "words", "norm", "confidence", "wording"]


@pytest.fixture(scope="module")
def partial(finished, tmp_path_factory):
    """The finished project with everything taken out of one model, its answers asked for in the same run."""
    project = finished.copy(tmp_path_factory.mktemp("partial") / "project")
    all_of(
        with_run(models=["tiny"], quantizations=["fp32"], datasets=["coins"], perturbations=["noise"]),
        setting("controls", "random_weights", True),
        setting("drift", "rerun", True),
        setting("controls", "partial_out", CHOSEN),
        setting("datasets", "coins", "classes", [{"name": "yes", "values": ["yes"], "answer": "heads"}, {"name": "no", "values": ["no"], "answer": "up"}]),
    )(project)  # fmt: skip
    result = project.snakemake()
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture(scope="module")
def table(partial):
    return pd.read_csv(partial.folder / TABLE)


def test_scores_of_the_concept_stay_as_they_were(finished, partial):
    path = "results/probes/tiny/fp32/coins.noise.csv"
    before, after = (pd.read_csv(project.folder / path) for project in (finished, partial))
    assert "partial_correlation" not in before
    concept = after[after["target"] == "concept"].reset_index(drop=True)
    pd.testing.assert_frame_equal(concept[before.columns], before)
    assert set(after["target"]) == {"concept", "partial_out"}
    assert after.groupby("target")["partial_correlation"].count().gt(0).tolist() == [False, True]


def test_raw_numbers_are_those_of_the_table_of_depths_and_others_those_of_scores(partial, table):
    depths = pd.read_csv(partial.folder / "results/tables/concept_depth.csv").set_index(NAMES)
    scores = pd.read_csv(partial.folder / "results/tables/layer_scores.csv")
    means = scores[scores["target"] == "partial_out"].groupby(NAMES)["accuracy"].mean()
    assert set(table["partial_out"]) == {" ".join(CHOSEN)}
    for quantity, rows in table.groupby("quantity"):
        own = rows.set_index(NAMES)
        pd.testing.assert_series_equal(
            own["raw"], depths[quantity].loc[own.index], check_names=False, check_dtype=False
        )
        difference = (own["partial"] - own["raw"]).to_numpy()
        assert own["difference"].to_numpy() == pytest.approx(difference, nan_ok=True)
    mean = table[table["quantity"] == "mean_accuracy"].set_index(NAMES)
    assert mean["partial"].to_numpy() == pytest.approx(means.loc[mean.index].to_numpy())
    assert len(mean) == len(depths)
    for kind in ("raw_{}", "partial_{}"):
        low, high = mean[kind.format("low")], mean[kind.format("high")]
        assert (low < high).all()
    assert (mean["low"] <= mean["difference"]).all()
    assert (mean["difference"] <= mean["high"]).all()
    assert not table.duplicated([*NAMES, "quantity"]).any()


def test_a_rerun_is_as_confident_as_the_format_that_is_run_again(partial):
    """So that what is different in it is the rerun's, and not of other answers."""
    answers = {path.parent.name for path in (partial.folder / "results/answers/tiny").glob("*/coins.noise.csv")}
    assert answers == {"fp32", "random"}
    sure = pd.read_csv(partial.folder / "results/answers/tiny/fp32/coins.noise.csv")["confidence"]
    assert sure.between(0, 1, inclusive="neither").all()


def test_it_is_named_in_the_pages_and_audited_back_to_the_answers(partial):
    assert (
        f"[{TABLE[8:]}]({TABLE[8:]}): depths and accuracies without"
        in (partial.folder / "results/README.md").read_text()
    )
    said = partial.traced(TABLE)
    assert "intact" in said
    assert "score_answers " in said
    assert "partial_depth" in (partial.folder / "results/audit.html").read_text()
