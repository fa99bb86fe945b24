"""The table of variance reads answers from scores and statements from draws as the tables of depth do."""

import itertools

import h5py
import numpy as np
import pandas as pd
import pytest
from conceptdepth.depth.definitions import gain_centre
from conceptdepth.ground.names import CURVE
from measure_variance import COLUMNS, QUANTITIES, measure_variance

LAYERS, SEEDS, SCALE = 6, (1, 2, 3), 1.5
POSITIONS = ["last", "text_last", "text_mean"]
NAMES = {"model": "m", "quantization": "fp32", "dataset": "d", "probe": "l"}


def curve_of(names):
    """Accuracy and area of each split and layer; the last token of the text is that of the prompt."""
    position = names["position"].replace("text_last", "last")
    draw = np.random.default_rng(list(f"{position} {names['perturbation']} {names['quantization']}".encode()))
    return draw.uniform(0.5, 1, (2, len(SEEDS), LAYERS))


@pytest.fixture
def tables(tmp_path):
    """Scores with controls, and draws of which those of the mean over the text have no depth in a chat."""
    rows, places = [], []
    for quantization, position, wording in itertools.product(("fp32", "random"), POSITIONS, ("clean", "chat")):
        names = NAMES | {
            "quantization": quantization,
            "perturbation": wording,
            "site": "residual",
            "position": position,
        }
        places.append(names)
        accuracy, area = curve_of(names)
        for target, (s, seed), layer in itertools.product(("concept", "control"), enumerate(SEEDS), range(LAYERS)):
            scores = {"accuracy": accuracy[s, layer] if target == "concept" else 0.5, "auc": area[s, layer]}
            rows.append(names | {"target": target, "layer": layer, "seed": seed, **scores})
            rows.append(names | {"site": "embedding", "target": target, "layer": 0, "seed": seed, **scores})
    draw = np.random.default_rng(0)
    with h5py.File(tmp_path / "draws.h5", "w") as file:
        for names in places:
            group = file.create_group("/".join(names[name] for name in CURVE))
            above = (names["position"], names["perturbation"]) != ("text_mean", "chat")
            same = names["position"].replace("text_last", "last")
            group.attrs.update({"scale": SCALE, "df": 30.0, "above": above, "same_tokens_as": same})
            for quantity in QUANTITIES:
                group.create_dataset(quantity, data=draw.normal(0.5, 0.1, 2000)).attrs["value"] = 0.5
        yield pd.DataFrame(rows), file


def test_answers_are_those_of_each_split(tables):
    table = measure_variance(*tables)
    assert list(table.columns) == COLUMNS
    assert set(table["quantization"]) == {"fp32"}, "controls have no row"
    peaks = {
        (position, wording): curve_of(NAMES | {"position": position, "perturbation": wording})[0].max(axis=1)
        for position, wording in itertools.product(["last", "text_mean"], ["clean", "chat"])
    }
    found = table[table["quantity"] == "peak_accuracy"].set_index("factor")
    by_position = [(peaks["last", wording] - peaks["text_mean", wording]) ** 2 / 2 for wording in ("clean", "chat")]
    assert found.loc["position", "sd"] ** 2 == pytest.approx(np.mean(by_position))
    by_split = np.mean([values.var(ddof=1) for values in peaks.values()])
    assert found.loc["seed", "sd"] ** 2 == pytest.approx(by_split)
    assert found.loc["position", ["levels", "distinct_levels", "pairs"]].tolist() == [3, 2, 2 * 3]
    assert found.loc["statements", "sd"] == pytest.approx(0.1 * SCALE, rel=0.05)
    assert found["n_without"].tolist() == [0] * len(found)


def test_a_curve_without_a_depth_takes_no_part_in_the_spread_of_depths(tables):
    found = measure_variance(*tables).query("quantity == 'gain_centre'").set_index("factor")
    assert found[["n_curves", "n_without"]].drop_duplicates().to_numpy().tolist() == [[6, 1]]
    last, mean = (
        gain_centre(curve_of(NAMES | {"position": name, "perturbation": "clean"})[0]) for name in POSITIONS[1:]
    )
    assert found.loc["position", "sd"] ** 2 == pytest.approx(np.mean((last - mean) ** 2) / 2)
    assert found.loc["position", "pairs"] == 3


def test_a_run_without_probes_of_concepts_has_the_columns_alone(tables):
    scores, file = tables
    assert list(measure_variance(scores[:0], file).columns) == COLUMNS
