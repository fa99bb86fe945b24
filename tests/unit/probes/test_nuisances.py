"""Nuisances are taken out of features by least squares of the training part, and with them what they alone tell."""

import numpy as np
import pandas as pd
import pytest
from activation_files import write_activations
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import PARTIAL_OUT
from conceptdepth.probes.estimators import KINDS, LBFGS, ProbeSettings
from conceptdepth.probes.nuisances import Nuisances, nuisances_of, partial_correlation, residuals, wordings
from conceptdepth.probes.splits import splits_of
from conceptdepth.probes.tasks import tasks_of
from conceptdepth.probes.training import train_layer
from scipy.stats import pearsonr
from sklearn.linear_model import LinearRegression
from train_probes import train_probes

N, D = 600, 12
LABELS = np.tile([0, 1], N // 2).astype(np.int8)
GROUPS = np.arange(N).astype(str).astype(object)
TRAIN, TEST = np.arange(0, 400), np.arange(400, N)


def settings(**changes):
    return ProbeSettings(
        **{"split": "grouped", "test_share": 0.4, "seeds": [1, 2], "C": 1.0, "max_iter": 1000} | changes
    )


def planted(seed=0, *, confound=0.0, concept=0.0):
    """Features in which a confound stands along one direction and the concept along another, and the confound.

    The confound goes with the label, but not all the way, and never tells more of it than itself.
    """
    draw = np.random.default_rng(seed)
    column = 2.0 * LABELS - 1 + draw.normal(size=N)
    directions = np.linalg.qr(draw.normal(size=(D, 2)))[0].T
    signs = 2.0 * LABELS - 1
    features = (
        draw.normal(size=(N, D)) + np.outer(confound * column, directions[0]) + np.outer(concept * signs, directions[1])
    )
    return features, column[:, np.newaxis]


def trained(features, nuisances, **changes):
    """Scores by target, each a list over splits and kinds of probes."""
    chosen = settings(**changes)
    splits = splits_of(LABELS, GROUPS, chosen)
    tasks = list(tasks_of(LABELS, GROUPS, splits, controls=[], choose=chosen.choose, nuisances=nuisances))
    found = list(train_layer(features, tasks, chosen))
    return {target: [probe for probe in found if probe.task.target == target] for target in ("concept", PARTIAL_OUT)}


def accuracies(probes):
    return np.array([probe.scores["accuracy"] for probe in probes])


@pytest.mark.parametrize(
    "changes", [{"kinds": list(KINDS)}, {"solver": LBFGS}, {"C": [0.01, 1.0]}, {"standardize": True}], ids=str
)
def test_a_planted_confound_alone_falls_to_chance(changes):
    features, column = planted(confound=3.0)
    found = trained(features.astype(np.float32), Nuisances(column), **changes)
    assert accuracies(found["concept"]).min() > 0.75
    assert accuracies(found[PARTIAL_OUT]).mean() == pytest.approx(0.5, abs=0.05)
    for probe in found[PARTIAL_OUT]:
        assert abs(probe.scores["partial_correlation"]) < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_concept_that_does_not_go_with_the_confound_stays(kind):
    features, column = planted(concept=2.0)
    column = np.random.default_rng(9).permutation(column)
    features = features + column * np.eye(D)[0]
    found = trained(features, Nuisances(column), kinds=[kind])
    assert accuracies(found[PARTIAL_OUT]).min() > 0.9
    assert accuracies(found[PARTIAL_OUT]).mean() >= accuracies(found["concept"]).mean() - 0.02
    assert min(probe.scores["partial_correlation"] for probe in found[PARTIAL_OUT]) > 0.7


def test_a_nuisance_that_tells_the_label_leaves_nothing():
    features, _ = planted(concept=3.0)
    found = trained(features, Nuisances(3.0 * LABELS[:, np.newaxis] + 1))
    assert accuracies(found["concept"]).min() > 0.95
    for probe in found[PARTIAL_OUT]:
        assert probe.scores["accuracy"] <= probe.scores["majority"] + 0.1
        assert np.isnan(probe.scores["partial_correlation"])


def test_the_length_of_vectors_is_each_layers_own():
    draw = np.random.default_rng(0)
    features = draw.normal(size=(N, D)) + 5
    nuisances = Nuisances(np.empty((N, 0)), norm=True)
    np.testing.assert_allclose(nuisances.at(features)[:, 0], [np.sqrt(row @ row) for row in features])
    longer = features * (1 + 0.5 * LABELS[:, np.newaxis])
    found = trained(longer, nuisances)
    assert accuracies(found["concept"]).min() > 0.95
    assert accuracies(found[PARTIAL_OUT]).mean() < accuracies(found["concept"]).mean() - 0.2


def test_residuals_are_those_of_a_loop_over_features():
    draw = np.random.default_rng(0)
    columns = np.column_stack([draw.integers(5, 30, N), draw.integers(0, 2, N), draw.normal(1e4, 300, N)])
    features = draw.normal(size=(N, D)) * 100 + columns @ draw.normal(size=(3, D))
    found = residuals(features, columns, TRAIN)
    for number in range(D):
        fitted = LinearRegression().fit(columns[TRAIN], features[TRAIN, number])
        np.testing.assert_allclose(found[:, number], features[:, number] - fitted.predict(columns), atol=1e-8)
    np.testing.assert_allclose(columns[TRAIN].T @ found[TRAIN] / N, 0, atol=1e-6)


def test_regressions_are_of_the_training_part_alone():
    features, column = planted(confound=2.0)
    expected = residuals(features, column, TRAIN)
    other, others = features.copy(), column.copy()
    other[TEST], others[TEST] = -7.0 * other[TEST] + 3, 5 * others[TEST]
    found = residuals(other, others, TRAIN)
    np.testing.assert_array_equal(found[TRAIN], expected[TRAIN])
    # A probe of test statements that did not change finds what it found: one left alone, among others that did.
    other[TEST[0]], others[TEST[0]] = features[TEST[0]], column[TEST[0]]
    np.testing.assert_array_equal(residuals(other, others, TRAIN)[TEST[0]], expected[TEST[0]])


@pytest.mark.parametrize("kind", ["logistic_regression", "ridge"])
def test_a_changed_test_part_changes_no_coefficient(kind):
    features, column = planted(confound=1.0, concept=1.0)
    chosen = settings(kinds=[kind], seeds=[1], C=[0.01, 1.0])
    (split,) = splits_of(LABELS, GROUPS, chosen)
    test = split[2]
    found = []
    for factor in (1.0, -3.0):
        other, others = features.copy(), column.copy()
        other[test], others[test] = factor * other[test], factor * others[test] + factor - 1
        tasks = list(
            tasks_of(LABELS, GROUPS, [split], controls=[], choose=True, nuisances=Nuisances(others, norm=True))
        )
        found.append([probe.coefficients for probe in train_layer(other, tasks, chosen)])
    np.testing.assert_array_equal(found[0], found[1])


def test_columns_that_tell_nothing_of_their_own_change_nothing():
    """One that does not vary in training, whatever it is in the test part; and the same one in another unit."""
    features, column = planted(confound=2.0)
    constant = np.where(np.arange(N) < len(TRAIN), 4.0, 9.0)
    expected = residuals(features, column, TRAIN)
    for more in (constant, 1000 * column[:, 0] - 7):
        np.testing.assert_allclose(residuals(features, np.column_stack([column, more]), TRAIN), expected, atol=1e-6)
    nothing = residuals(features, np.empty((N, 0)), TRAIN)
    np.testing.assert_allclose(nothing, features - features[TRAIN].mean(axis=0))


def test_without_nuisances_of_any_spread_it_is_the_concept_again():
    features, _ = planted(concept=0.3)
    found = trained(features, Nuisances(np.full((N, 1), 5.0)))
    np.testing.assert_array_equal(accuracies(found[PARTIAL_OUT]), accuracies(found["concept"]))


def test_partial_correlation_is_that_of_residuals():
    draw = np.random.default_rng(0)
    columns, decision = draw.normal(size=(N, 2)) + LABELS[:, np.newaxis], draw.normal(size=len(TEST)) + LABELS[TEST]
    left = LABELS - LinearRegression().fit(columns[TRAIN], LABELS[TRAIN]).predict(columns)
    found = partial_correlation(LABELS, decision, columns, TRAIN, TEST)
    assert found == pytest.approx(pearsonr(decision, left[TEST]).statistic)
    # Of all statements as training and as test part it is the textbook's.
    both = np.arange(N)
    whole = residuals(draw.normal(size=N) + LABELS, columns, both)
    z = np.linalg.inv(np.corrcoef(np.column_stack([LABELS, whole, columns]).T))
    assert partial_correlation(LABELS, whole, columns, both, both) == pytest.approx(
        -z[0, 1] / np.sqrt(z[0, 0] * z[1, 1])
    )
    assert np.isnan(partial_correlation(LABELS, np.full(len(TEST), 3.7), columns, TRAIN, TEST))


def row(before, text, after, **more):
    return {"prompt": before + text + after, "text_at": [len(before), len(before) + len(text)], **more}


PROMPTS = [
    row("aaa", "one two", " ?"),
    row("bbb", "three", " ?"),
    row("aaa", "four  five\nsix", " ?"),
    row("", "x", " ?"),
]


def test_nuisances_are_read_from_tokens_texts_and_what_stands_around_them():
    found = nuisances_of(["wording", "words", "length"], n_tokens=np.array([7, 8, 9, 10]), prompts=PROMPTS)
    assert not found.norm
    # Tokens, words, and a column for each wording but the most frequent.
    assert found.columns.tolist() == [[7, 2, 0, 0], [8, 1, 0, 1], [9, 3, 0, 0], [10, 1, 1, 0]]
    assert wordings(PROMPTS[::2]) == []
    alone = nuisances_of(["norm"], n_tokens=np.array([7, 8]))
    assert (alone.norm, alone.columns.shape) == (True, (2, 0))
    sure = nuisances_of(["confidence"], n_tokens=np.array([7, 8]), confidence=np.array([0.5, 0.25]))
    assert sure.columns.tolist() == [[0.5], [0.25]]
    assert nuisances_of([], n_tokens=np.array([7, 8])) is None


@pytest.fixture
def cell(tmp_path):
    """Train the probes of a cell whose vectors tell the words of a text, which go with the label, and nothing else."""
    draw = np.random.default_rng(0)
    counts = 3 + 2 * LABELS[:80] + draw.integers(0, 2, 80)
    rows = [{"id": f"{i:03}", "label": int(LABELS[i]), "group": str(i // 2)} for i in range(80)]
    vectors = draw.normal(size=(2, 80, 4)) + 10 * counts[:, np.newaxis]
    write_activations(tmp_path / "cell.h5", {"residual": {"last": vectors}, "embedding": {"last": vectors[:1]}}, rows)
    lines = [pd.Series({**one, **row("", " ".join("w" * n), " ?")}).to_json() for one, n in zip(rows, counts)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines))
    pd.DataFrame(rows).assign(confidence=counts / 10).to_csv(tmp_path / "answers.csv", index=False)

    def run(*partial_out, prompts=("prompts.jsonl",), answers=()):
        train_probes(
            str(tmp_path / "cell.h5"),
            prompts=[str(tmp_path / name) for name in prompts],
            answers=[str(tmp_path / name) for name in answers],
            cell={"model": "m", "quantization": "fp32", "dataset": "d", "perturbation": "clean"},
            settings=settings(),
            controls={"targets": [], "embedding_layer": False} | ({"partial_out": partial_out} if partial_out else {}),
            threads=1,
            scores=str(tmp_path / "scores.csv"),
            probes=str(tmp_path / "probes.h5"),
            record="0" * 64,
        )
        return pd.read_csv(tmp_path / "scores.csv")

    run.folder = tmp_path
    return run


@pytest.mark.parametrize(
    "given",
    [{"partial_out": ["words"]}, {"partial_out": ["confidence"], "prompts": (), "answers": ["answers.csv"]}],
    ids=str,
)
def test_a_cell_has_the_concept_as_it_is_and_without_nuisances(cell, given):
    partial_out = given.pop("partial_out")
    before = cell(prompts=())
    assert "partial_correlation" not in before
    found = cell(*partial_out, **given)
    assert list(found["target"].unique()) == ["concept", PARTIAL_OUT]
    concept = found[found["target"] == "concept"].reset_index(drop=True)
    pd.testing.assert_frame_equal(concept[before.columns], before)
    assert concept["partial_correlation"].isna().all()
    means = found.groupby("target")["accuracy"].mean()
    assert means["concept"] > 0.9
    assert means[PARTIAL_OUT] < 0.65


def test_files_of_other_statements_or_without_confidence_are_refused(cell):
    answers = pd.read_csv(cell.folder / "answers.csv", dtype={"id": str})
    answers.drop(columns="confidence").to_csv(cell.folder / "old.csv", index=False)
    with pytest.raises(UserError, match="old.csv is of an older version: it has no column confidence"):
        cell("confidence", prompts=(), answers=["old.csv"])
    answers[::-1].to_csv(cell.folder / "others.csv", index=False)
    with pytest.raises(UserError, match="others.csv is not of the statements whose vectors are read"):
        cell("confidence", prompts=(), answers=["others.csv"])
