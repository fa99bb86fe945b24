"""Tables of a run have the same types whatever stands in them, and every column of every table has one."""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conceptdepth import Results
from conceptdepth.ground.errors import UserError
from conceptdepth.interface.tables import NAMES, read_table, type_of

ROOT = Path(__file__).parents[3]


def test_numbers_are_those_that_were_written_to_the_last_digit(small_run):
    table = read_table(small_run / "tables/layer_scores.csv")
    as_text = pd.read_csv(small_run / "tables/layer_scores.csv", dtype=str, keep_default_na=False)
    for name in ("accuracy", "log_loss", "C"):
        assert [repr(value) for value in table[name].tolist()] == [repr(float(text)) for text in as_text[name]]


def test_every_type_is_that_of_its_column(small_run):
    types = Results(small_run).table("layer_scores").dtypes.astype(str)
    assert set(types[["model", "dataset", "site", "probe", "target", "weights"]]) == {"category"}
    assert set(types[["layer", "n_layers", "seed", "n_train", "n_test", "iterations"]]) == {"int64"}
    assert set(types[["accuracy", "description_length", "selectivity", "C"]]) == {"float64"}
    assert types["converged"] == "boolean"
    types = Results(small_run).table("concept_depth").dtypes.astype(str)
    assert set(types[["converged", "jump_point", "p_above_chance", "n_groups"]]) == {"float64"}
    assert set(types[["above_baselines", "mostly_converged"]]) == {"boolean"}


def test_a_dataset_called_na_is_one_and_only_numbers_are_missing(small_run):
    table = Results(small_run).table("concept_depth", dataset="NA")
    assert table["dataset"].tolist() == ["NA"] * 4
    assert table["first_above_baseline"].isna().all()


def test_names_that_some_rows_have_not_are_missing_there(tmp_path):
    (tmp_path / "concept_depth.csv").write_text("dataset,baseline,above_baselines\nnull,NaN,NaN\nNaN,tf_idf,True\n")
    table = read_table(tmp_path / "concept_depth.csv")
    assert table["dataset"].tolist() == ["null", "NaN"]
    assert table["baseline"].isna().tolist() == [True, False]
    assert table["above_baselines"].isna().tolist() == [True, False]


def test_types_do_not_depend_on_what_stands_in_a_table(tmp_path):
    for rows in ("3,0.5,True,NaN", "3,,False,7", "3,1,True,1"):
        (tmp_path / "depth_variance.csv").write_text(f"layer,share,has_effect,pairs\n{rows}\n")
        types = read_table(tmp_path / "depth_variance.csv").dtypes.astype(str).tolist()
        assert types == ["int64", "float64", "boolean", "Int64"]


def test_a_damaged_table_is_said(tmp_path):
    (tmp_path / "lens.csv").write_text("layer,accuracy\nthree,1\n")
    with pytest.raises(UserError, match=r"lens.csv is damaged; delete it and run again"):
        read_table(tmp_path / "lens.csv")


def test_rows_are_chosen_by_one_value_or_several_and_keep_no_category_that_is_gone(small_run):
    results = Results(small_run)
    table = results.table("layer_scores", dataset="cities", layer=[0, 2], target="concept")
    assert table["layer"].unique().tolist() == [0, 2]
    assert table["dataset"].cat.categories.tolist() == ["cities"]
    assert table.index.tolist() == list(range(len(table)))
    whole = results.table("layer_scores")
    assert (
        len(table)
        == ((whole["dataset"] == "cities") & whole["layer"].isin([0, 2]) & (whole["target"] == "concept")).sum()
    )


def test_parquet_has_the_types_and_the_numbers(small_run, tmp_path):
    results = Results(small_run)
    paths = results.to_parquet(tmp_path / "tables")
    assert [path.stem for path in paths] == list(results.tables)
    for path in paths:
        pd.testing.assert_frame_equal(pd.read_parquet(path), results.table(path.stem), check_exact=True)


def words_of(path):
    """Return every text in the code of a file that could be a column."""
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_name_that_has_a_type_stands_in_the_code_of_a_stage():
    """Of a column that was renamed the type is forgotten here, and it would be another one."""
    written = set()
    for path in (ROOT / "workflow_scripts").rglob("*.py"):
        if "interface" not in path.parts:
            written |= {word for text in words_of(path) for word in text.split()}
    assert {name for name in NAMES if type_of("", name) == "category"} - written == set()


def test_all_columns_that_are_no_numbers_have_a_type(small_run):
    for name in Results(small_run).tables:
        table = Results(small_run).table(name)
        unknown = [column for column in table if type_of(name, column) is None]
        assert {str(table[column].dtype) for column in unknown} <= {"float64"}
        assert all(np.issubdtype(table[column].dtype, np.floating) for column in unknown)
