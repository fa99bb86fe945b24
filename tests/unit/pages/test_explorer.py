"""The numbers of the explorer are those of the tables, means over splits in the order of layers."""

import numpy as np
import pandas as pd
import pytest
from activation_files import write_activations
from build_explorer import read_tables, records_of
from conceptdepth.ground.names import CURVE
from conceptdepth.pages import explorer
from conceptdepth.probes.estimators import ProbeSettings
from train_probes import train_probes

POSITIONS = ["last", "text_mean"]
KINDS = ["logistic_regression", "ridge"]
LABELS = {
    "models": {"m": {"label": "Model <M>"}},
    "datasets": {"d": {"label": "D", "domain": "factual", "classes": ["true", "false"]}},
}
LAYERS = 3


def cell(folder, perturbation, shift):
    """Train two kinds of probes at two positions of three layers and of the embedding, and for a control."""
    rows = [{"id": f"s{i}", "label": i % 2, "group": str(i // 2)} for i in range(60)]
    noise = np.random.default_rng(0).normal(size=(LAYERS, 60, 4))
    clear = noise + shift * np.array([row["label"] for row in rows])[:, np.newaxis]
    sites = {"mlp_input": (clear, noise), "embedding": (noise[:1], noise[1:2])}
    at = {site: dict(zip(POSITIONS, values)) for site, values in sites.items()}
    write_activations(folder / "cell.h5", at, rows)
    train_probes(
        str(folder / "cell.h5"),
        cell={"model": "m", "quantization": "fp32", "dataset": "d", "perturbation": perturbation},
        settings=ProbeSettings(split="grouped", test_share=0.4, seeds=[9, 10, 11], C=1.0, max_iter=100, kinds=KINDS),
        controls={"targets": ["shuffled_labels"], "embedding_layer": True},
        threads=1,
        scores=str(folder / f"{perturbation}.csv"),
        probes=str(folder / f"{perturbation}.h5"),
        record="0" * 64,
    )
    return pd.read_csv(folder / f"{perturbation}.csv")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of two cells: scores are real, of vectors that are made up; depths and intervals are made up."""
    folder = tmp_path_factory.mktemp("tables")
    scores = pd.concat([cell(folder, "noise", 0.5), cell(folder, "clean", 2)], ignore_index=True)
    curves = scores[(scores.target == "concept") & (scores.site != "embedding")]
    depths = curves[list(CURVE)].drop_duplicates().assign(same_tokens_as="last", gain_centre=0.5)
    intervals = curves.groupby([*CURVE, "layer"], sort=False)["accuracy"].mean().reset_index()
    intervals = intervals.assign(low=intervals.accuracy - 0.05, high=intervals.accuracy + 0.05)
    baselines = pd.DataFrame({
        "dataset": "d", "perturbation": "clean", "baseline": ["bag_of_words", "bag_of_words", "tf_idf"],
        "position": "prompt", "seed": [9, 10, 9], "n_test": 20, "accuracy": [0.5, 0.6, 0.7], "f1": [0.1, 0.2, np.nan],
    })  # fmt: skip
    named = {
        "layer_scores": scores,
        "concept_depth": depths,
        # In another order than scores: rows are told by their layer.
        "layer_intervals": intervals.iloc[::-1],
        "baseline_scores": baselines,
    }
    for name, table in named.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return read_tables([str(folder / f"{name}.csv") for name in named], [], {}), folder


@pytest.fixture(scope="module")
def data(tables):
    file = "results/probes/m/fp32/d.clean.csv"
    return explorer.data(tables[0], labels=LABELS, level=0.95, records={file: "abc"}, record="f" * 64)


def reference(scores, curve, target, column, function="mean"):
    rows = scores[(scores[list(CURVE)] == [curve[name] for name in CURVE]).all(axis=1) & (scores.target == target)]
    return rows.groupby("layer")[column].agg(function).sort_index().to_list()


def test_each_curve_of_the_concept_is_there_once_in_the_order_of_the_table(data, tables):
    names = [[curve[name] for name in CURVE] for curve in data["curves"]]
    scores = tables[0].scores
    chosen = scores[(scores.target == "concept") & (scores.site != "embedding")]
    assert names == chosen[list(CURVE)].drop_duplicates().to_numpy().tolist()


def test_scores_are_means_over_splits(data, tables):
    for curve in data["curves"]:
        assert curve["n_layers"] == LAYERS
        assert curve["n_splits"] == 3
        for name, values in curve["scores"].items():
            assert values == pytest.approx(reference(tables[0].scores, curve, "concept", name), abs=5e-7)
        for key, function in (("least", "min"), ("most", "max")):
            expected = reference(tables[0].scores, curve, "concept", "accuracy", function)
            assert curve[key] == pytest.approx(expected, abs=5e-7)
        assert curve["converged"] == reference(tables[0].scores, curve, "concept", "converged")
        assert curve["n_test"] == reference(tables[0].scores, curve, "concept", "n_test")[0]
        assert curve["majority"] == pytest.approx(reference(tables[0].scores, curve, "concept", "majority")[0])


def test_a_score_that_a_probe_has_not_is_not_one_of_its_scores(data):
    has = {curve["probe"]: "log_loss" in curve["scores"] for curve in data["curves"]}
    assert has == {"logistic_regression": True, "ridge": False}
    assert "description_length" not in data["labels"]["score"], "it was not asked for"


def test_controls_and_the_embedding_are_those_of_the_same_curve(data, tables):
    for curve in data["curves"]:
        assert curve["controls"].keys() == {"shuffled_labels"}
        for name, values in curve["controls"]["shuffled_labels"].items():
            assert values == pytest.approx(reference(tables[0].scores, curve, "shuffled_labels", name), abs=5e-7)
        for name, value in curve["embedding"].items():
            of_embedding = curve | {"site": "embedding"}
            assert [value] == pytest.approx(reference(tables[0].scores, of_embedding, "concept", name), abs=5e-7)


def test_intervals_are_told_by_their_layer(data):
    for curve in data["curves"]:
        assert curve["low"] == pytest.approx([value - 0.05 for value in curve["scores"]["accuracy"]], abs=2e-6)
        assert curve["high"] == pytest.approx([value + 0.05 for value in curve["scores"]["accuracy"]], abs=2e-6)


def test_without_intervals_a_curve_has_no_bounds(tables):
    intervals = tables[0].intervals.assign(low=np.nan, high=np.nan)
    for table in (intervals, intervals.iloc[:0]):
        without = explorer.Tables(tables[0].scores, tables[0].depths, table, tables[0].baselines)
        assert not any({"low", "high"} & curve.keys() for curve in explorer.curves(without, {}))


def test_a_curve_names_its_file_and_the_record_of_it(data):
    found = {(curve["perturbation"], curve["file"], curve["record"]) for curve in data["curves"]}
    assert found == {
        ("clean", "results/probes/m/fp32/d.clean.csv", "abc"),
        ("noise", "results/probes/m/fp32/d.noise.csv", ""),
    }
    assert records_of({"r": {"id": "1", "outputs": [{"path": "a"}, {"path": "b"}]}}) == {"a": "1", "b": "1"}


def test_baselines_are_means_over_splits(data):
    assert data["baselines"] == {
        "d": {"clean": {"bag_of_words": {"accuracy": 0.55, "f1": 0.15}, "tf_idf": {"accuracy": 0.7, "f1": None}}}
    }


def test_a_run_without_baselines_has_none(tables):
    empty = tables[0].baselines.iloc[:0]
    assert explorer.baselines(empty) == {}
    assert explorer.baselines(empty[["dataset", "perturbation", "baseline", "position", "seed"]]) == {}


def test_tables_are_those_of_the_files(data, tables):
    assert data["tables"].keys() == {"concept_depth", "baseline_scores"}
    for name, table in data["tables"].items():
        read = pd.read_csv(tables[1] / f"{name}.csv", dtype=str, keep_default_na=False)
        assert table["columns"] == list(read)
        assert table["rows"] == read.to_numpy().tolist()


def test_every_name_in_the_data_has_one_for_readers(data):
    labels = data["labels"]
    assert data["title"] == "Model <M> on D"
    assert labels["model"] == {"m": "Model <M>"}
    assert labels["baseline"] == {"bag_of_words": "bag of words", "tf_idf": "TF-IDF"}
    for curve in data["curves"]:
        assert all(curve[kind] in labels[kind] for kind in CURVE)
        assert curve["scores"].keys() <= labels["score"].keys()
        assert curve["controls"].keys() <= labels["target"].keys()


def test_a_title_counts_what_is_more_than_one():
    many = {"models": {name: {"label": name} for name in "ab"}, "datasets": {name: {"label": name} for name in "cde"}}
    assert explorer.title(many) == "2 models on 3 datasets"


def test_names_that_look_like_numbers_stay_names(tables, tmp_path):
    for name in ("layer_scores", "concept_depth", "layer_intervals", "baseline_scores"):
        table = pd.read_csv(tables[1] / f"{name}.csv").assign(dataset="2024", perturbation="007")
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    read = read_tables([str(path) for path in tmp_path.iterdir()], [], {})
    curves = explorer.curves(read, {"results/probes/m/fp32/2024.007.csv": "abc"})
    assert {(curve["dataset"], curve["perturbation"], curve["record"]) for curve in curves} == {("2024", "007", "abc")}
    assert explorer.baselines(read.baselines).keys() == {"2024"}


def test_published_curves_have_the_names_of_the_run():
    curves = pd.DataFrame({"model": "m", "dataset": "d", "layer": [1, 0], "n_layers": 2, "accuracy": [0.8, 0.6]})
    assert explorer.published(curves) == [{"model": "m", "dataset": "d", "accuracy": [0.6, 0.8], "n_layers": 2}]
    assert explorer.published(None) == []


def test_what_is_no_number_is_none():
    assert explorer.rounded([0.1234567, np.nan, np.inf]) == [0.123457, None, None]
