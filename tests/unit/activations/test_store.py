"""The HDF5 layout is a contract: other tools read it."""

import h5py
import numpy as np
import pytest
from conceptdepth.activations.store import new_activations, open_activations, read_labels
from conceptdepth.ground.errors import UserError

PROMPTS = [{"id": "a", "label": 0, "group": "x"}, {"id": "b", "label": 1, "group": "x"}, {"id": "ü", "label": 1, "group": "y"}]  # fmt: skip
VALUES = np.arange(4 * 3 * 5, dtype=np.float32).reshape(4, 3, 5)

EMBEDDED = np.arange(1 * 3 * 5, dtype=np.float32).reshape(1, 3, 5)


def write(path, values=VALUES, where=slice(None)):
    with new_activations(path, sites=["mlp_input"], n_layers=4, d_model=5, prompts=PROMPTS, n_tokens=[3, 4, 5]) as file:
        file["activations/mlp_input"][:, where] = values
        file["embedding"][:] = EMBEDDED
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
        values = file["activations/mlp_input"]
        assert (values.shape, values.dtype.str) == ((4, 3, 5), "<f4")
        assert values.chunks is None, "contiguous: a layer is one read"
        assert dict(file.attrs) == {"format": "conceptdepth-activations", "format_version": 2, "model": "tiny"}


def test_what_was_written_is_read(path):
    with open_activations(path) as file:
        held = read_labels(file)
        np.testing.assert_array_equal(file["activations/mlp_input"], VALUES)
        np.testing.assert_array_equal(file["embedding"], EMBEDDED)
    assert held.ids.tolist() == ["a", "b", "ü"]
    assert held.labels.tolist() == [0, 1, 1]
    assert held.groups.tolist() == ["x", "x", "y"]


def test_vectors_may_come_in_any_order(tmp_path):
    path = tmp_path / "cell.h5"
    with new_activations(path, sites=["residual"], n_layers=4, d_model=5, prompts=PROMPTS, n_tokens=[3, 4, 5]) as file:
        file["embedding"][:] = EMBEDDED
        file["activations/residual"][:, [1]] = VALUES[:, [1]]
        file["activations/residual"][:, [0, 2]] = VALUES[:, [0, 2]]
    with open_activations(path) as file:
        np.testing.assert_array_equal(file["activations/residual"], VALUES)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_file_that_lacks_a_vector_leaves_nothing(tmp_path, missing):
    there = [place for place in range(3) if place != missing]
    with pytest.raises(ValueError, match="layer 0 of mlp_input lacks vectors"):
        write(tmp_path / "cell.h5", VALUES[:, there], there)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_writing_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write(tmp_path / "cell.h5", VALUES[:, :2])
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(UserError, match="not a readable HDF5 file"):
        open_activations(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(UserError, match="not an activation file"):
        open_activations(tmp_path / "other.h5")
