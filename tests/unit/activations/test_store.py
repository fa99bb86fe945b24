"""The HDF5 layout is a contract: other tools read it."""

import os
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from conceptdepth.activations.store import new_activations, open_activations, read_labels
from conceptdepth.ground.errors import UserError

PROMPTS = [{"id": "a", "label": 0, "group": "x"}, {"id": "b", "label": 1, "group": "x"}, {"id": "ü", "label": 1, "group": "y"}]  # fmt: skip
VALUES = np.arange(4 * 3 * 5, dtype=np.float32).reshape(4, 3, 5)

EMBEDDED = np.arange(1 * 3 * 5, dtype=np.float32).reshape(1, 3, 5)


ALL = np.arange(3)


def new(path, sites=("mlp_input",)):
    return new_activations(path, sites=sites, n_layers=4, d_model=5, prompts=PROMPTS, n_tokens=[3, 4, 5])


def write(path, lacking=None, but=ALL):
    """Write a file. At one site and layer, write some prompts alone."""
    with new(path) as file:
        for site, vectors in {"mlp_input": VALUES, "embedding": EMBEDDED}.items():
            for layer, values in enumerate(vectors):
                there = but if (site, layer) == lacking else ALL
                file.into[site][layer, there] = values[there]
        file.attrs["model"] = "tiny"


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "cell.h5")
    return tmp_path / "cell.h5"


def test_golden_layout(path):
    with h5py.File(path) as file:
        layout = {name: (item.shape, item.dtype.str) for name, item in file.items() if isinstance(item, h5py.Dataset)}
        assert layout == {
            "embedding": ((1, 3, 5), "<f4"),
            "id": ((3,), "|O"),
            "label": ((3,), "|i1"),
            "group": ((3,), "|O"),
            "n_tokens": ((3,), "<i4"),
        }
        values = file["activations/mlp_input/last"]
        assert (values.shape, values.dtype.str) == ((4, 3, 5), "<f4")
        for dataset in (values, file["embedding/last"]):
            assert dataset.chunks is None, "contiguous: a layer is one read"
        assert dict(file.attrs) == {"format": "conceptdepth-activations", "format_version": 2, "model": "tiny"}


def test_what_was_written_is_read(path):
    with open_activations(path) as file:
        held = read_labels(file)
        np.testing.assert_array_equal(file["activations/mlp_input/last"], VALUES)
        np.testing.assert_array_equal(file["embedding/last"], EMBEDDED)
    assert held.ids.tolist() == ["a", "b", "ü"]
    assert held.labels.tolist() == [0, 1, 1]
    assert held.groups.tolist() == ["x", "x", "y"]


def test_vectors_may_come_in_any_order(tmp_path):
    path = tmp_path / "cell.h5"
    with new(path, ["residual"]) as file:
        for layer in (2, 0, 3, 1):
            file.into["residual"][layer, np.array([1])] = VALUES[layer, [1]]
            file.into["residual"][layer, np.array([0, 2])] = VALUES[layer, [0, 2]]
        file.into["embedding"][0, ALL] = EMBEDDED[0]
    with open_activations(path) as file:
        np.testing.assert_array_equal(file["activations/residual/last"], VALUES)


def test_threads_write_scattered_prompts_side_by_side(tmp_path):
    """Each vector in one of many pieces, in no order: the file holds the bytes of the whole."""
    path, draw = tmp_path / "cell.h5", np.random.default_rng(0)
    n_layers, n_prompts, d_model = 6, 300, 7
    values = {
        site: draw.normal(size=(n_layers, n_prompts, d_model)).astype(np.float32) for site in ("mlp_input", "residual")
    } | {"embedding": draw.normal(size=(1, n_prompts, d_model)).astype(np.float32)}
    pieces = [
        (site, layer, np.sort(some))
        for site, vectors in values.items()
        for layer in range(len(vectors))
        for some in np.array_split(draw.permutation(n_prompts), 9)
    ]
    rows = [{"id": str(n), "label": 0, "group": ""} for n in range(n_prompts)]
    size = {"n_layers": n_layers, "d_model": d_model, "prompts": rows, "n_tokens": [1] * n_prompts}
    with new_activations(path, sites=["mlp_input", "residual"], **size) as file, ThreadPoolExecutor(8) as threads:

        def put(number):
            site, layer, prompts = pieces[number]
            file.into[site][layer, prompts] = values[site][layer, prompts]

        list(threads.map(put, draw.permutation(len(pieces))))
    with open_activations(path) as file:
        for name, dataset in [("embedding", file["embedding/last"]), *file["activations"].items()]:
            assert dataset[:].tobytes() == values[name].tobytes()
            assert dataset.chunks is None
        assert read_labels(file).ids.tolist() == [row["id"] for row in rows]


def test_vectors_that_do_not_lie_as_the_file_has_them(tmp_path):
    """In another order of bytes, of axes, and in 64 bits."""
    kinds = [
        VALUES[0].astype(">f4"),
        np.asfortranarray(VALUES[1]),
        VALUES[2].astype(np.float64),
        VALUES[3][:, ::-1][:, ::-1],
    ]
    with new(tmp_path / "cell.h5") as file:
        for layer, values in enumerate(kinds):
            file.into["mlp_input"][layer, ALL] = values
        file.into["embedding"][0, ALL] = EMBEDDED[0]
    with open_activations(tmp_path / "cell.h5") as file:
        np.testing.assert_array_equal(file["activations/mlp_input/last"], VALUES)


def test_a_layer_is_one_piece_of_the_file(path):
    """Other tools may map it into memory."""
    with h5py.File(path) as file:
        start = file["activations/mlp_input/last"].id.get_offset()
    np.testing.assert_array_equal(np.memmap(path, "<f4", "r", start, VALUES.shape), VALUES)


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize(("site", "layer"), [("mlp_input", 0), ("mlp_input", 3), ("embedding", 0)])
def test_a_file_that_lacks_a_vector_leaves_nothing(tmp_path, site, layer, missing):
    with pytest.raises(ValueError, match=f"layer {layer} of {site} lacks vectors"):
        write(tmp_path / "cell.h5", (site, layer), np.delete(ALL, missing))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_writing_leaves_nothing(tmp_path):
    with pytest.raises(IndexError):
        write(tmp_path / "cell.h5", ("mlp_input", 2), np.array([0, 7]))
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_takes_only_part_is_gone_on_with(tmp_path, monkeypatch):
    """As one of more than 2 GiB does."""
    whole = os.pwrite
    monkeypatch.setattr("os.pwrite", lambda file, data, place: whole(file, data[:13], place))
    write(tmp_path / "cell.h5")
    with open_activations(tmp_path / "cell.h5") as file:
        np.testing.assert_array_equal(file["activations/mlp_input/last"], VALUES)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(UserError, match="not a readable HDF5 file"):
        open_activations(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(UserError, match="not an activation file"):
        open_activations(tmp_path / "other.h5")
