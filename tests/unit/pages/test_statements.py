"""Which statements layers get right, counted from the predictions, and what of the statements themselves is shown."""

import base64
import json

import h5py
import numpy as np
import pytest
from build_explorer import read_tested, read_texts
from conceptdepth.ground.errors import UserError
from conceptdepth.pages.statements import MOST_CHARACTERS, count_right, packed, statements_of
from conceptdepth.probes.predictions import read_curves

N, LAYERS = 9, 3
IDS = [f"s{n}" for n in range(N)]
SPLITS = {1: [0, 3, 4], 2: [4, 5], 3: [4, 0]}
"""The statements that each split holds out, by its seed: 1, 2 and 3 of them once, twice, three times, and not in order."""


def write_probes(path, *, dataset="d", splits=SPLITS):
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs.update({"model": "m", "quantization": "fp32", "dataset": dataset, "perturbation": "clean"})
        file.attrs.update({"sites": ["mlp_input"], "positions": ["last"], "probes": ["ridge"], "weights": "fp32"})
        for name in ("id", "group"):
            file.create_dataset(name, data=IDS, dtype=h5py.string_dtype())
        file.create_dataset("label", data=np.arange(N, dtype="i1") % 2)
        for seed, test in splits.items():
            split = file.create_group(f"mlp_input/last/ridge/concept/seed_{seed}")
            split.create_dataset("test", data=np.array(test))
            split.create_dataset("decision", data=rng.normal(size=(LAYERS, len(test))))
    return str(path)


@pytest.fixture
def tested(tmp_path):
    path = write_probes(tmp_path / "d.clean.h5")
    (found,) = read_tested([path]).values()
    return found, path


def test_counts_and_decisions_are_those_of_a_loop_over_the_file(tested):
    found, path = tested
    names = sorted({IDS[n] for test in SPLITS.values() for n in test})
    assert list(found.ids) == names
    with h5py.File(path) as file:
        labels = file["label"][:]
        for place, name in enumerate(names):
            number = IDS.index(name)
            for layer in range(LAYERS):
                decisions = []
                for seed, test in SPLITS.items():
                    if number in test:
                        decision = file[f"mlp_input/last/ridge/concept/seed_{seed}/decision"]
                        decisions.append(decision[layer, test.index(number)])
                right = sum((decision > 0) == labels[number] for decision in decisions)
                assert found.right[layer, place] == right
                assert found.n_tested[place] == len(decisions)
                step = found.scale[layer] / 127
                assert found.decision[layer, place] * step == pytest.approx(np.mean(decisions), abs=step / 2 + 1e-12)
    assert (np.abs(found.decision).max(axis=1) == 127).all(), "the whole range is used"


def test_what_is_packed_can_be_read_back(tested):
    found, _ = tested
    places = {name: place for place, name in enumerate(reversed(found.ids))}
    kept = json.loads(json.dumps(packed(found, places, [0, 2], decisions=True)))
    assert kept["tested"] == [3, 2, 1, 0]
    assert kept["layers"] == [0, 2]
    right = np.frombuffer(base64.b64decode(kept["right"]), np.uint8).reshape(2, 4)
    decision = np.frombuffer(base64.b64decode(kept["decision"]), np.int8).reshape(2, 4)
    assert right.tolist() == found.right[[0, 2]].tolist()
    assert decision.tolist() == found.decision[[0, 2]].tolist()
    assert kept["scale"] == pytest.approx(found.scale[[0, 2]], rel=1e-5)
    assert packed(found, places, [1], decisions=False)["decision"] is None


def test_decisions_of_nothing_have_no_scale(tmp_path):
    path = write_probes(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        for seed in SPLITS:
            file[f"mlp_input/last/ridge/concept/seed_{seed}/decision"][:] = 0
    (found,) = read_tested([path]).values()
    assert not found.scale.any()
    assert not found.decision.any()


def rows(text="A <b>text</b>."):
    return [{"id": name, "text": text, "label": n % 2, "group": f"group of {n // 2}"} for n, name in enumerate(IDS)]


def test_texts_are_shown_only_where_the_configuration_says_so(tested):
    found, _ = tested
    shown = statements_of("d", rows(), [found], licence="CC BY 4.0", show_texts=True)
    assert shown["ids"] == ["s0", "s3", "s4", "s5"]
    assert shown["labels"] == [0, 1, 0, 1]
    assert shown["texts"] == ["A <b>text</b>."] * 4
    assert shown["groups"] == ["group of 0", "group of 1", "group of 2", "group of 2"]
    assert shown["note"] == "Licence of the texts: CC BY 4.0."
    hidden = statements_of("d", rows(), [found], licence="none stated", show_texts=False)
    assert hidden["texts"] is None
    assert hidden["groups"] == ["1", "2", "3", "3"], "a name may be a part of the text"
    assert "none stated" in hidden["note"]
    assert "`datasets: {d: {show_texts: true}}`" in hidden["note"]


def test_long_texts_are_cut_and_the_note_says_so(tested):
    found, _ = tested
    shown = statements_of("d", rows("x" * (MOST_CHARACTERS + 1)), [found], licence="MIT", show_texts=True)
    assert shown["texts"][0] == "x" * MOST_CHARACTERS + " …"
    assert shown["note"].endswith(f"They are cut to {MOST_CHARACTERS} characters.")
    whole = statements_of("d", rows("x" * MOST_CHARACTERS), [found], licence="MIT", show_texts=True)
    assert whole["texts"][0] == "x" * MOST_CHARACTERS


def test_statements_are_those_of_the_datasets_own_cells(tmp_path):
    paths = [write_probes(tmp_path / f"{name}.h5", dataset=name, splits={1: [n]}) for n, name in enumerate("ab")]
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows())))
    labels = {"datasets": {name: {"licence": "MIT", "show_texts": True, "label": "A"} for name in "ab"}}
    found = read_texts([str(tmp_path / f"{name}.jsonl") for name in "ab"], read_tested(paths), labels)
    assert {name: of["ids"] for name, of in found.items()} == {"a": ["s0"], "b": ["s1"]}


def test_probes_of_other_statements_are_an_error_in_a_sentence(tested):
    with pytest.raises(UserError, match="d has no statement 's3', of which its probes say something; run again"):
        statements_of("d", rows()[:3], [tested[0]], licence="MIT", show_texts=True)


@pytest.mark.parametrize("damage", ["ids", "layers", "bytes", "test"])
def test_a_damaged_file_of_probes_ends_in_a_sentence(tmp_path, damage):
    path = write_probes(tmp_path / "p.h5")
    if damage == "bytes":
        (tmp_path / "p.h5").write_bytes(b"no file of probes")
    else:
        with h5py.File(path, "r+") as file:
            split = file["mlp_input/last/ridge/concept/seed_1"]
            if damage == "ids":
                del file["id"]
                file.create_dataset("id", data=IDS[1:], dtype=h5py.string_dtype())
            elif damage == "layers":
                del split["decision"]
                split.create_dataset("decision", data=np.zeros((LAYERS + 1, 3)))
            else:
                split["test"][0] = N
    with pytest.raises(UserError, match=r"run again|not a readable HDF5 file"):
        read_tested([path])


def test_a_file_without_names_of_statements_ends_in_a_sentence(tmp_path):
    path = write_probes(tmp_path / "p.h5")
    with h5py.File(path, "r+") as file:
        del file["id"]
    with pytest.raises(UserError, match="delete their file and run again"):
        read_tested([path])


def test_decisions_are_read_only_if_they_are_asked_for(tested):
    (curve,) = read_curves(tested[1])
    assert {split.decision for split in curve.splits} == {None}
    (curve,) = read_curves(tested[1], decisions=True)
    assert count_right(curve).ids == tested[0].ids
    for split in curve.splits:
        assert ((split.decision > 0) == split.predicted).all()
