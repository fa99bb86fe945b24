"""The page of the paper's grid is small. All numbers here are made up at random, which compresses worse than real ones."""

import base64
import itertools

import numpy as np
import pandas as pd
import pytest
from build_explorer import write_page
from conceptdepth.ground.names import CURVE
from conceptdepth.pages import explorer, fitting
from conceptdepth.pages.fitting import MOST_BYTES, OF_NAMED_LAYERS, WITHOUT_STATEMENTS, named_layers
from conceptdepth.pages.statements import LARGEST, HeldOut, statements_of
from conceptdepth.provenance.metadata import embedded_id
from pages import explorer_data

LAYERS, STATEMENTS = 40, 1000
MODELS, DATASETS = [f"model-{n}" for n in range(9)], [f"dataset_{n}" for n in range(9)]
FILES = {"page.html": '<meta content="{{ record }}"><script>{{ vega }}</script><script>{{ data }}</script>'}
RNG = np.random.default_rng(0)


def grid(n_models, n_datasets):
    names = itertools.product(
        MODELS[:n_models], ["fp32", "bf16", "int8"], DATASETS[:n_datasets], ["clean", "noise"],
        ["mlp_input"], ["last"], ["logistic_regression"],
    )  # fmt: skip
    return pd.DataFrame(names, columns=list(CURVE))


def random_columns(table, names):
    return table.assign(**{name: RNG.random(len(table)) for name in names})


def made_up(curves):
    """Return tables, statements and predictions of a grid: 40 layers, one split, 1,000 tested statements a cell."""
    layers = curves.merge(pd.DataFrame({"layer": range(LAYERS)}), how="cross")
    scores = random_columns(layers, ["accuracy", "balanced_accuracy", "f1", "auc", "mcc", "log_loss"])
    scores = scores.assign(
        target="concept",
        n_layers=LAYERS,
        seed=42,
        n_test=STATEMENTS,
        majority=0.5,
        converged=RNG.random(len(scores)) < 0.9,
    )
    depths = random_columns(
        curves.assign(same_tokens_as="last", above_baselines=True, baseline="tf_idf"),
        [*fitting.NAMED, "held_out_peak_accuracy", "baseline_accuracy", *(f"estimate_{n}" for n in range(25))],
    )
    differences = curves.merge(pd.DataFrame({"quantity": [f"quantity_{n}" for n in range(15)]}), how="cross")
    differences = random_columns(differences, ["difference", "low", "high", "p"])
    tables = explorer.Tables(
        scores=scores,
        depths=depths,
        intervals=random_columns(layers, ["low", "high"]),
        baselines=pd.DataFrame(columns=["dataset", "perturbation", "baseline"]),
        texts={"concept_depth": depths.to_csv(index=False), "depth_differences": differences.to_csv(index=False)},
    )
    ids = tuple(f"statement-{n}" for n in range(STATEMENTS))
    right = RNG.random((len(curves), LAYERS, STATEMENTS)) < 0.8
    decision = RNG.integers(-LARGEST, LARGEST, right.shape, dtype=np.int8, endpoint=True)
    once, scale = np.ones(STATEMENTS, int), np.ones(LAYERS)
    tested = {
        names: HeldOut(ids, once, *of_curve, scale)
        for names, *of_curve in zip(curves.itertuples(index=False, name=None), right.astype(np.uint8), decision)
    }
    rows = [{"id": name, "text": f"{name} {'x' * 400}", "label": n % 2, "group": name} for n, name in enumerate(ids)]
    shown = {"licence": "MIT", "show_texts": True}
    of_dataset = {name: statements_of(name, rows, tested.values(), **shown) for name in curves["dataset"].unique()}
    labels = {
        "models": {name: {"label": name} for name in curves["model"].unique()},
        "datasets": {name: {"label": name, "domain": "factual", "classes": ["a", "b"]} for name in of_dataset},
    }
    data = explorer.data(tables, labels=labels, level=0.95, records={}, record="f" * 64) | {"statements": of_dataset}
    return data, tested, depths


@pytest.fixture
def without_vega(monkeypatch):
    """Take a second off each page."""
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "")


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """The page of the paper's grid."""
    data, tested, depths = made_up(grid(9, 9))
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    kept = write_page(str(path), data, tested, depths, FILES)
    return path, kept, tested, depths


def test_the_page_of_the_papers_grid_is_at_most_5_megabytes_and_has_all_its_curves(papers):
    path, kept, *_ = papers
    assert path.stat().st_size <= MOST_BYTES == 5_000_000
    data = explorer_data(path.read_text())
    assert len(data["curves"]) == 486
    assert {len(values) for curve in data["curves"] for values in curve["scores"].values()} == {LAYERS}
    assert data["kept"] == kept
    assert embedded_id(path) == "f" * 64


def test_of_the_papers_grid_the_page_has_statements_of_the_layers_that_are_spoken_of(papers):
    path, kept, tested, depths = papers
    assert kept == OF_NAMED_LAYERS
    rows = {tuple(row[name] for name in CURVE): row for row in depths.to_dict("records")}
    for curve in explorer_data(path.read_text())["curves"]:
        names = tuple(curve[name] for name in CURVE)
        found = curve["statements"]
        assert found["decision"] is None
        assert found["layers"] == named_layers(rows[names], LAYERS)
        right = np.frombuffer(base64.b64decode(found["right"]), np.uint8).reshape(len(found["layers"]), -1)
        assert (right == tested[names].right[found["layers"]]).all()


def test_layers_are_those_of_the_depths_and_the_last():
    row = {"first_above_baseline": 0.25, "gain_centre": 0.61, "peak_depth": np.nan}
    assert named_layers(row, 40) == [10, 24, 39]
    assert named_layers({"first_above_baseline": 0.0, "gain_centre": np.nan, "peak_depth": 0.975}, 40) == [0, 39]


def test_statements_give_way_and_nothing_else_does():
    data, tested, depths = made_up(grid(1, 1))
    whole, without_decisions, of_named, without = fitting.smaller_and_smaller(data, tested, depths)
    assert whole["kept"] == ""
    assert all(curve["statements"]["decision"] for curve in whole["curves"])
    assert all(curve["statements"]["layers"] == list(range(LAYERS)) for curve in without_decisions["curves"])
    assert all(curve["statements"]["decision"] is None for curve in without_decisions["curves"])
    assert all(len(curve["statements"]["layers"]) <= 4 for curve in of_named["curves"])
    assert all(curve["statements"] is None for curve in without["curves"])
    assert without["statements"] == {}
    assert without["kept"] == WITHOUT_STATEMENTS
    for version in (whole, without_decisions, of_named):
        assert {**version, "curves": 0, "kept": 0} == {**data, "curves": 0, "kept": 0}
        assert [{**curve, "statements": None} for curve in version["curves"]] == data["curves"]


def test_drift_gives_way_after_statements():
    data, tested, depths = made_up(grid(1, 1))
    data["tables"]["activation_drift"] = {"columns": ["layer"], "rows": [["0"]]}
    *before, last = fitting.smaller_and_smaller(data, tested, depths)
    assert all(version["tables"] == data["tables"] for version in before)
    assert last["tables"].keys() == data["tables"].keys() - {"activation_drift"}
    assert last["kept"].endswith("results/tables/activation_drift.csv has it.")
    assert {**last, "tables": 0, "kept": 0} == {**before[-1], "tables": 0, "kept": 0}


def test_what_does_not_fit_at_all_is_still_a_page(without_vega, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("build_explorer.MOST_BYTES", 100_000)
    assert write_page(str(tmp_path / "explorer.html"), *made_up(grid(1, 9)), FILES) == WITHOUT_STATEMENTS
    assert len(explorer_data((tmp_path / "explorer.html").read_text())["curves"]) == 54
    assert "more to show than fits" in caplog.text


def test_a_small_run_has_everything_and_the_same_bytes_again(without_vega, tmp_path):
    given = made_up(grid(1, 1))
    for name in ("first", "second"):
        assert write_page(str(tmp_path / name), *given, FILES) == ""
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
