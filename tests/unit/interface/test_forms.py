"""Vectors in the forms of other libraries are those of the file, on the bytes of the file."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conceptdepth import Results
from conceptdepth.ground.errors import UserError
from conceptdepth.interface.forms import as_arrow, as_dataset, as_xarray
from small_run import LAYERS, WIDTH

ONE = {"quantization": "fp32", "dataset": "cities", "perturbation": "clean"}


@pytest.fixture(scope="module")
def cell(small_run):
    return Results(small_run).cell(**ONE)


def test_xarray_has_names_along_its_dimensions_and_no_copy(cell):
    vectors = cell.vectors
    made = as_xarray(vectors, cell.names)
    for (site, position), array in vectors.arrays.items():
        variable = made[f"{site}_{position}"]
        assert variable.dims == ("layer", "statement", "feature")
        assert np.shares_memory(variable.data, array)
    assert np.shares_memory(made["embedding_last"].data, vectors.at(site="embedding"))
    assert made["embedding_last"].dims == ("statement", "feature")
    one = made["residual_last"].sel(layer=3, statement="cities-7")
    np.testing.assert_array_equal(one, vectors.at(site="residual")[3, 7])
    assert (one["label"], one["group"], one["depth"]) == (1, "g3", 3 / LAYERS)
    assert made.attrs == {"model": "smollm2-135m", **ONE}
    assert cell.xarray().equals(made)


def test_arrow_has_the_statements_and_a_layer_without_a_copy(cell):
    vectors = cell.vectors
    table = as_arrow(vectors, 2, site="residual", texts=cell.texts)
    assert table.column_names == ["id", "text", "prompt", "label", "group", "n_tokens", "vector"]
    (chunk,) = table["vector"].chunks
    assert chunk.values.buffers()[1].address == vectors.at(site="residual")[2].ctypes.data
    np.testing.assert_array_equal(np.stack(table["vector"].to_numpy()), vectors.at(site="residual")[2])
    assert table["id"].to_pylist() == vectors.ids.tolist()
    assert table["prompt"][3].as_py() == "clean: Text 3."
    assert table.schema.field("vector").type == pa.list_(pa.float32(), WIDTH)
    assert cell.arrow(2, site="residual").equals(table)


def test_arrow_without_a_layer_has_statements_alone(cell):
    assert cell.arrow().column_names == ["id", "text", "prompt", "label", "group", "n_tokens"]
    with pytest.raises(UserError, match=f"there is no layer {LAYERS}; there are 0 to {LAYERS - 1}"):
        cell.arrow(LAYERS)
    with pytest.raises(UserError, match="there are no vectors at mlp_output, last"):
        cell.arrow(0, site="mlp_output")


def test_a_layer_goes_through_parquet(cell, tmp_path):
    pq.write_table(cell.arrow(1), tmp_path / "layer.parquet")
    assert pq.read_table(tmp_path / "layer.parquet").equals(cell.arrow(1))


def test_a_dataset_of_hugging_face_has_the_same_without_a_copy(cell):
    table = as_arrow(cell.vectors, 2)
    made = as_dataset(table, "here")
    (chunk,) = made.data["vector"].chunks
    assert chunk.values.buffers()[1].address == table["vector"].chunk(0).values.buffers()[1].address
    made = cell.dataset(2)
    np.testing.assert_array_equal(made.with_format("numpy")[:5]["vector"], cell.vectors.at()[2, :5])
    assert made[3]["text"] == "Text 3."
    assert made.filter(lambda row: row["label"] == 1).num_rows == made.num_rows // 2


def test_what_is_cached_of_one_layer_is_not_taken_for_another(cell):
    def first(row):
        return {"first": row["vector"][0]}

    for layer in (1, 2):
        made = cell.dataset(layer).map(first)
        np.testing.assert_array_equal(made["first"], cell.vectors.at()[layer, :, 0])
    known = {
        cell.dataset(*where, site=site)._fingerprint for where in ((1,), (2,)) for site in ("residual", "mlp_input")
    }
    assert len(known) == 4


@pytest.mark.parametrize(
    ("module", "make"), [("xarray", lambda cell: cell.xarray()), ("datasets", lambda cell: cell.dataset(0))]
)
def test_a_library_that_is_not_installed_is_named_with_its_extra(cell, monkeypatch, module, make):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"this takes {module}, which is not installed here; the extra \[{module}\]"):
        make(cell)
