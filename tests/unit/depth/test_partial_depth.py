"""Depths without nuisances beside those of vectors as they are: what a confound alone told is gone, a concept stays."""

from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from activation_files import write_activations
from conceptdepth.depth.cells import depth_table, estimate_all
from conceptdepth.depth.comparison import ACCURACIES, PRIMARY
from conceptdepth.depth.draws import open_draws, write_draws
from conceptdepth.depth.resampling import IntervalSettings
from conceptdepth.depth.uncertainty import standard_error
from conceptdepth.ground.names import CURVE, PARTIAL_OUT
from conceptdepth.probes.estimators import ProbeSettings
from estimate_partial_depth import partial_table
from train_probes import train_probes

N, LAYERS, D = 240, 6, 5
SETTINGS = IntervalSettings(level=0.9, draws=300, permutations=99, seed=0, correction="bh")
DEPTH = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95}
LABELS = np.tile([0, 1], N // 2)


def cell(folder, name):
    """Train the probes of vectors that from the third layer on tell, by name, only the number of words or the class."""
    draw = np.random.default_rng(0)
    rows = [{"id": f"{i:03}", "label": int(LABELS[i]), "group": str(i // 2)} for i in range(N)]
    counts = 3 + 3 * LABELS + draw.integers(0, 3, N) if name == "confound" else draw.integers(3, 9, N)
    vectors = draw.normal(size=(LAYERS, N, D))
    vectors[2:, :, 0] += 3.0 * counts
    vectors[2:, :, 1] += 0.0 if name == "confound" else 4.0 * LABELS
    write_activations(folder / "cell.h5", {"residual": {"last": vectors, "text_last": vectors}, "embedding": {"last": vectors[:1], "text_last": vectors[:1]}}, rows)  # fmt: skip
    prompts = [{**row, "prompt": " ".join("w" * n), "text_at": [0, 2 * int(n) - 1]} for row, n in zip(rows, counts)]
    (folder / "prompts.jsonl").write_text("\n".join(pd.Series(row).to_json() for row in prompts))
    train_probes(
        str(folder / "cell.h5"),
        prompts=[str(folder / "prompts.jsonl")],
        cell={"model": "m", "quantization": "fp32", "dataset": name, "perturbation": "clean"},
        settings=ProbeSettings(split="grouped", test_share=0.4, seeds=[1, 2], C=1.0, max_iter=100),
        controls={"targets": [], "embedding_layer": False, "partial_out": ["words"]},
        threads=1,
        scores=str(folder / "scores.csv"),
        probes=str(folder / "probes.h5"),
        record="0" * 64,
    )
    return str(folder / "probes.h5")


@pytest.fixture(scope="module", params=["confound", "concept"])
def made(request, tmp_path_factory):
    """Return the name of what was planted, the table, and estimates as vectors are and without nuisances."""
    folder = tmp_path_factory.mktemp(request.param)
    path = cell(folder, request.param)
    raw, partial = (
        estimate_all([path], [], depth=DEPTH, settings=SETTINGS, target=t) for t in ("concept", PARTIAL_OUT)
    )
    depths = depth_table(raw, SETTINGS)
    depths.to_csv(folder / "depths.csv", index=False, na_rep="NaN")
    with h5py.File(folder / "draws.h5", "w") as file:
        write_draws(file, raw, depths["above_baselines"].eq(True).tolist())
    with open_draws(folder / "draws.h5") as file:
        read = pd.read_csv(folder / "depths.csv", dtype=dict.fromkeys(CURVE, str))
        table = partial_table(partial, read[::-1], file, partial_out=["words"], settings=SETTINGS)
    return request.param, table, raw, partial


def test_the_confound_is_gone_and_the_concept_stays(made):
    name, table, _, _ = made
    rows = table[table["position"] == "last"].set_index("quantity")
    peak, centre = rows.loc["held_out_peak_accuracy"], rows.loc["gain_centre"]
    assert peak["raw"] > 0.85
    assert peak["raw_above_baselines"]
    if name == "confound":
        assert peak["partial"] < 0.65
        assert peak["high"] < -0.1
        assert peak["p_adjusted"] < 0.01
        assert not peak["partial_above_baselines"]
        assert np.isnan([centre["low"], centre["p"]]).all(), "a curve without a depth has none to compare"
    else:
        assert peak["partial"] > 0.95
        assert abs(peak["difference"]) < 0.05
        assert peak["partial_above_baselines"]
        assert (rows["difference"][["first_above_baseline", "jump_point"]] == 0).all()
        assert centre["difference"] == pytest.approx(0, abs=0.05)
        assert centre["partial_low"] < 2 / LAYERS < centre["partial_high"]


def test_differences_are_of_paired_draws(made):
    _, table, raw, partial = made
    assert len(table) == len(raw) * len(raw[0].values)
    for before, after in zip(raw, partial):
        own = table[(table[list(CURVE)] == list(before.names.values())).all(axis=1)].set_index("quantity")
        for quantity, row in own.iterrows():
            assert row["raw"] == pytest.approx(before.values[quantity], nan_ok=True)
            assert row["partial"] == pytest.approx(after.values[quantity], nan_ok=True)
            assert np.isnan(row["p"]) or quantity in PRIMARY
            if quantity in PRIMARY and quantity in ACCURACIES:
                error = standard_error(after.draws[quantity] - before.draws[quantity], before.design)
                assert (row["high"] - row["low"]) / error == pytest.approx(2 * 1.65, rel=0.02)


def test_a_curve_with_two_names_is_one_test(made):
    _, table, _, _ = made
    for _, rows in table[table["p"].notna()].groupby("quantity"):
        assert set(rows["position"]) == {"last", "text_last"}
        assert rows["p_adjusted"].tolist() == pytest.approx(rows["p"].tolist())


def test_without_draws_numbers_are_there_and_nothing_is_tested(made, tmp_path):
    nothing = replace(SETTINGS, draws=0, permutations=0)
    path = cell(tmp_path, made[0])
    raw, partial = (estimate_all([path], [], depth=DEPTH, settings=nothing, target=t) for t in ("concept", PARTIAL_OUT))
    depths = depth_table(raw, nothing)
    with h5py.File(tmp_path / "draws.h5", "w") as file:
        write_draws(file, raw, [False] * len(raw))
        table = partial_table(partial, depths, file, partial_out=["words"], settings=nothing)
    needs_none = ["mean_accuracy", "peak_accuracy", "gain_centre", "jump_point"]
    before, after = (one[one["quantity"].isin(needs_none)].reset_index(drop=True) for one in (made[1], table))
    pd.testing.assert_frame_equal(after[["quantity", "raw", "partial"]], before[["quantity", "raw", "partial"]])
    assert (
        table[["low", "high", "p", "p_adjusted", "raw_low", "partial_high", "raw_above_baselines"]]
        .isna()
        .all(axis=None)
    )
