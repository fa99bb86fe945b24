"""What each layer would answer: accuracies and areas are scikit-learn's, and planted layers are found by both."""

import numpy as np
import pandas as pd
import pytest
from collect_lens import collect_lens
from conceptdepth.depth.lens import areas, log_odds_of, p_of_order, read_lens
from conceptdepth.depth.resampling import IntervalSettings
from conceptdepth.ground.errors import UserError
from sklearn.metrics import accuracy_score, roc_auc_score

SETTINGS = IntervalSettings(level=0.95, draws=300, permutations=400, seed=0, correction="bh")
DEPTH = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95}
CELL = {"model": "m", "quantization": "fp32", "dataset": "d", "perturbation": "clean"}
N = 200
LABELS = np.tile([0, 1], N // 2)


def file_of(folder, log_odds, name="lens.csv", **changes):
    """Write what `score_answers` does for log-odds of shape (n_layers, N), of pairs of statements."""
    table = pd.DataFrame({f"layer_{number}": values for number, values in enumerate(log_odds)})
    named = CELL | {"id": [str(n) for n in range(N)], "label": LABELS, "group": [f"g{n // 2}" for n in range(N)]}
    pd.concat([pd.DataFrame(named | changes), table], axis=1).to_csv(folder / name, index=False)
    return str(folder / name)


@pytest.fixture
def log_odds():
    """Four layers: noise; order, but all are called class 1; the same, and cut in the right place; in the wrong one."""
    draw = np.random.default_rng(0)
    noise, told = draw.normal(size=(2, N)), draw.normal(size=N) + 3 * LABELS
    return np.stack([noise[0], told + 100, told - 1.5, told - 100])


def test_areas_are_those_of_scikit_learn_with_and_without_ties():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, (5, N))
    log_odds = np.stack([draw.normal(size=N), draw.integers(0, 4, N), np.zeros(N)])
    expected = [[roc_auc_score(row, layer) for layer in log_odds] for row in labels]
    np.testing.assert_allclose(areas(log_odds, labels.astype(np.int8)), expected)


def test_what_was_written_is_read(tmp_path, log_odds):
    curve = read_lens(file_of(tmp_path, log_odds))
    np.testing.assert_allclose(log_odds_of(curve), log_odds)
    assert curve.names == CELL
    assert curve.labels.tolist() == LABELS.tolist()
    assert curve.groups[:3].tolist() == ["g0", "g0", "g1"]


@pytest.mark.parametrize("changes", [{"label": 2}, {"label": "no"}])
def test_a_file_of_other_labels_is_refused(tmp_path, log_odds, changes):
    with pytest.raises(UserError, match="lens.csv is damaged: .*; delete it and run again"):
        read_lens(file_of(tmp_path, log_odds, **changes))


def test_each_layer_has_the_scores_of_scikit_learn(tmp_path, log_odds):
    _, layers = collect_lens([file_of(tmp_path, log_odds)], DEPTH, SETTINGS)
    assert layers["layer"].tolist() == [0, 1, 2, 3]
    assert layers["accuracy"].tolist() == pytest.approx([accuracy_score(LABELS, layer > 0) for layer in log_odds])
    assert layers["auc"].tolist() == pytest.approx([roc_auc_score(LABELS, layer) for layer in log_odds])
    assert layers["majority"].tolist() == [0.5] * 4
    assert layers["says_1"].tolist() == pytest.approx([(layer > 0).mean() for layer in log_odds])
    assert (layers["low"] <= layers["accuracy"]).all()
    assert (layers["accuracy"] <= layers["high"]).all()


def test_order_is_found_a_layer_before_answers_are_right(tmp_path, log_odds):
    row = collect_lens([file_of(tmp_path, log_odds)], DEPTH, SETTINGS)[0].iloc[0]
    assert (row["first_auc_above_chance"], row["first_above_chance"], row["first_above_majority"]) == (0.25, 0.5, 0.5)
    assert (row["peak_depth"], row["peak_accuracy"]) == (0.5, accuracy_score(LABELS, log_odds[2] > 0))
    assert row["peak_auc"] == pytest.approx(roc_auc_score(LABELS, log_odds[1]))
    assert row["gain_centre_low"] <= row["gain_centre"] <= row["gain_centre_high"]
    assert row["n"] == N
    assert row["n_groups"] == N // 2


def test_without_permutations_and_draws_the_rest_is_there(tmp_path, log_odds):
    bare = IntervalSettings(level=0.95, draws=0, permutations=0, seed=0, correction="bh")
    rows, layers = collect_lens([file_of(tmp_path, log_odds)] * 2, DEPTH, bare)
    assert len(rows) == 2
    assert rows["peak_auc"].notna().all()
    assert rows["p_auc_above_chance"].isna().all()
    assert layers["accuracy"].notna().all()
    assert layers["low"].isna().all()


def test_noise_is_called_order_no_more_often_than_the_level_says():
    draw = np.random.default_rng(1)
    called = []
    for _ in range(400):
        log_odds = draw.normal(size=(6, 40)).cumsum(axis=0)  # Layers that have much in common.
        permuted = draw.permuted(np.tile(LABELS[:40], (99, 1)), axis=1)
        found = areas(log_odds, LABELS[np.newaxis, :40])[0]
        called.append(p_of_order(found, areas(log_odds, permuted)).min() <= 0.05)
    assert np.mean(called) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(called) > 0.01
