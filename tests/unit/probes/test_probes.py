"""Probes and their scores agree with scikit-learn used by hand."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from conceptdepth.probes.estimators import KINDS, MassMean, ProbeSettings, RowSpace, estimator
from conceptdepth.probes.fitting import fit
from conceptdepth.probes.scores import decide, score
from conceptdepth.probes.splits import folds_of
from conceptdepth.probes.tasks import Task
from conceptdepth.probes.training import train_layer
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

N = 120
TRAIN, TEST = np.arange(80), np.arange(80, N)
DEFAULT = ProbeSettings(split="grouped", test_share=0.4, seeds=[1], C=1.0, max_iter=100)
ONE = replace(DEFAULT, solver="lbfgs")
"""The reference's probe."""
CHOOSE = replace(DEFAULT, C=[0.001, 0.01, 0.1, 1.0], standardize=True, max_iter=1000)


def data(d):
    """Statements in pairs of opposite labels, with d features that tell the labels but imperfectly."""
    draw = np.random.default_rng(0)
    labels = np.tile(np.array([0, 1], dtype=np.int8), N // 2)
    features = (draw.normal(size=(N, d)) * draw.uniform(0.1, 10, size=d) + 3).astype(np.float32)
    features[:, :4] += labels[:, np.newaxis]
    groups = np.repeat([f"g{i}" for i in range(N // 2)], 2).astype(object)
    return features, Task("concept", 1, TRAIN, TEST, labels, groups)


@pytest.fixture(scope="module", params=[8, 200], ids=["tall", "wide"])
def cell(request):
    """More statements than features, and fewer."""
    return data(request.param)


def with_folds(task):
    return replace(task, folds=folds_of(task.labels[task.train], task.groups[task.train], seed=task.seed))


def train(features, task, settings):
    (probe,) = train_layer(features, [task], settings)
    return probe


# --- The reference's probe ----------------------------------------------------------------------------------


def test_lbfgs_is_scikit_learns_logistic_regression_to_the_last_digit(cell):
    features, task = cell
    probe = train(features, task, ONE)
    model = LogisticRegression().fit(features[TRAIN], task.labels[TRAIN])
    np.testing.assert_array_equal(probe.coefficients, [*model.coef_[0], *model.intercept_])
    np.testing.assert_array_equal(probe.decision, model.decision_function(features[TEST]))
    assert probe.scores["iterations"] == model.n_iter_[0]
    assert probe.scores["C"] == 1.0


def test_scores_are_scikit_learns(cell):
    features, task = cell
    scores = train(features, task, ONE).scores
    model = LogisticRegression().fit(features[TRAIN], task.labels[TRAIN])
    labels, predicted = task.labels[TEST], model.predict(features[TEST])
    assert scores["accuracy"] == model.score(features[TEST], labels)
    assert scores["f1"] == metrics.f1_score(labels, predicted)
    assert scores["balanced_accuracy"] == metrics.balanced_accuracy_score(labels, predicted)
    assert scores["mcc"] == metrics.matthews_corrcoef(labels, predicted)
    assert scores["auc"] == metrics.roc_auc_score(labels, model.decision_function(features[TEST]))
    assert scores["log_loss"] == pytest.approx(metrics.log_loss(labels, model.predict_proba(features[TEST])), rel=1e-4)
    assert (scores["n_train"], scores["n_test"]) == (80, 40)


@pytest.mark.parametrize("n", [2, 3, 160, 6554])
def test_counted_scores_are_scikit_learns_to_the_last_digit(n):
    draw = np.random.default_rng(n)
    for share in (0, 0.1, 0.5, 0.9, 1):
        labels = draw.permutation(np.arange(n) % 3 % 2 != 0).astype(np.int8)
        decision = np.where(draw.random(n) < share, 1.0, -1.0)
        found, predicted = score(labels, decision, has_probabilities=False), (decision > 0).astype(int)
        assert found["accuracy"] == metrics.accuracy_score(labels, predicted)
        assert found["balanced_accuracy"] == metrics.balanced_accuracy_score(labels, predicted)
        assert found["f1"] == metrics.f1_score(labels, predicted, zero_division=0.0)
        assert found["mcc"] == metrics.matthews_corrcoef(labels, predicted)


def test_scores_of_many_statements_are_those_of_scikit_learn():
    """Products of their numbers are larger than what 64 bits hold."""
    labels = np.tile([0, 1], 140_000).astype(np.int8)
    decision = np.where(np.arange(len(labels)) % 5 == 0, 0.5 - labels, labels - 0.5)
    found = score(labels, decision, has_probabilities=False)
    assert found["mcc"] == pytest.approx(metrics.matthews_corrcoef(labels, decision > 0))


def test_a_probe_that_did_not_converge_says_so(cell):
    features, task = cell
    for settings, given in ((ONE, task), (CHOOSE, with_folds(task))):
        probe = train(features * 1000, given, replace(settings, max_iter=2, standardize=False))
        assert not probe.scores["converged"]
        assert probe.scores["iterations"] == 2
    assert train(features, with_folds(task), CHOOSE).scores["converged"]


def test_a_solver_that_gives_up_has_not_converged(monkeypatch):
    features, task = data(8)

    def give_up(self, *_):
        warnings.warn("Line Search failed", stacklevel=1)

    monkeypatch.setattr(LogisticRegression, "fit", give_up)
    assert not fit(estimator("logistic_regression", task, DEFAULT, [1.0]), features, task.labels)


# --- Solved to the end --------------------------------------------------------------------------------------


def like_a_residual_stream(d):
    """One feature of hundreds beside others of about one, all far from 0."""
    features, task = data(d)
    features[:, -1] = 500 + 30 * features[:, -1]
    return features, task


@pytest.mark.parametrize("d", [8, 200], ids=["tall", "wide"])
@pytest.mark.parametrize("make", [data, like_a_residual_stream])
def test_the_default_probe_is_the_optimum_of_the_references(make, d):
    """The same estimand, without scaling: the gradient of its loss and penalty is 0, in weights and intercept."""
    features, task = make(d)
    probe = train(features, task, DEFAULT)
    assert probe.scores["converged"]
    x, y = features[TRAIN].astype(float), task.labels[TRAIN]
    weights, intercept = probe.coefficients[:-1], probe.coefficients[-1]
    error = 1 / (1 + np.exp(-(x @ weights + intercept))) - y
    np.testing.assert_allclose((x - x.mean(axis=0)).T @ error + weights, 0, atol=2e-6 * len(y))
    np.testing.assert_allclose(error.sum(), 0, atol=2e-6 * len(y))


@pytest.mark.parametrize("unit", [1, 30, 1e3])
def test_a_probe_is_solved_as_far_whatever_the_unit_of_its_vectors(unit):
    features, task = data(200)
    probe = train(features * unit, task, DEFAULT)
    assert probe.scores["converged"]
    x, y = features.astype(float), task.labels  # The same problem with vectors of length about one.
    x = x - x[TRAIN].mean(axis=0)
    optimum = LogisticRegression(C=unit**2, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(x[TRAIN], y[TRAIN])
    expected = optimum.decision_function(x[task.test])
    np.testing.assert_allclose(probe.decision, expected, atol=0.02 * np.abs(expected).max())


def test_a_probe_that_is_far_from_its_optimum_has_not_converged_though_its_solver_says_so():
    """Where the penalty is next to nothing, no tolerance of the gradient is small enough."""
    features, task = data(200)
    assert not train(features, task, replace(DEFAULT, C=1e9)).scores["converged"]


def test_rounding_of_a_vector_that_moves_the_references_probe_does_not_move_the_default():
    features, task = like_a_residual_stream(200)
    draw = np.random.default_rng(1)
    rounded = (features * (1 + 1e-7 * draw.normal(size=features.shape))).astype(np.float32)
    moved = {
        settings.solver: np.abs(
            train(rounded, task, settings).decision - train(features, task, settings).decision
        ).max()
        for settings in (DEFAULT, ONE)
    }
    assert not train(features, task, ONE).scores["converged"]
    assert moved["newton"] < 1e-3 < moved["lbfgs"]


def test_majority_is_the_accuracy_of_always_naming_the_larger_class(cell):
    features, task = cell
    test = np.flatnonzero(task.labels == 1)[-9:].tolist() + np.flatnonzero(task.labels == 0)[-3:].tolist()
    assert train(features, replace(task, test=np.array(test)), ONE).scores["majority"] == 9 / 12


# --- Other probes -------------------------------------------------------------------------------------------


def test_mass_mean_is_the_difference_of_means_and_names_the_nearer_one(cell):
    features, task = cell
    probe = train(features, task, replace(ONE, kinds=["mass_mean"]))
    x, y = features[TRAIN].astype(float), task.labels[TRAIN]
    np.testing.assert_allclose(probe.coefficients[:-1], x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0))
    nearest = NearestCentroid().fit(x, y).predict(features[TEST].astype(float))
    np.testing.assert_array_equal(probe.decision > 0, nearest == 1)
    np.testing.assert_array_equal(MassMean().fit(x, y).predict(features[TEST]), nearest)
    assert np.isnan(probe.scores["log_loss"])
    assert np.isnan(probe.scores["C"])


def test_ridge_has_the_penalty_that_belongs_to_c(cell):
    features, task = cell
    probe = train(features, task, replace(ONE, kinds=["ridge"], C=0.05))
    x = features.astype(float)
    model = RidgeClassifier(alpha=1 / (2 * 0.05)).fit(x[TRAIN], task.labels[TRAIN])
    np.testing.assert_allclose(probe.decision, model.decision_function(x[TEST]), rtol=1e-6)
    assert probe.scores["C"] == pytest.approx(0.05)
    assert np.isnan(probe.scores["log_loss"])


def test_the_mlp_is_scikit_learns_and_its_decisions_are_log_odds():
    """It tells apart what no linear probe can: whether two numbers have the same sign."""
    draw = np.random.default_rng(0)
    features = draw.normal(size=(250, 2)).astype(np.float32)
    labels = (features[:, 0] * features[:, 1] > 0).astype(np.int8)
    task = Task("concept", 1, np.arange(150), np.arange(150, 250), labels, np.arange(250).astype(object))
    probe = train(features, task, replace(ONE, kinds=["mlp"], max_iter=200))
    assert probe.scores["accuracy"] > 0.8 > 0.7 > train(features, task, ONE).scores["accuracy"]
    assert probe.coefficients is None
    x = features.astype(float)
    model = MLPClassifier((32,), max_iter=200, random_state=1).fit(x[:150], labels[:150])
    probabilities = model.predict_proba(x[150:])
    np.testing.assert_allclose(1 / (1 + np.exp(-probe.decision)), probabilities[:, 1], rtol=1e-6)
    assert probe.scores["log_loss"] == pytest.approx(metrics.log_loss(labels[150:], probabilities), rel=1e-6)


# --- Scaling, and the choice of C ---------------------------------------------------------------------------


def by_hand(task, model, choices):
    """A grid search over the whole pipeline, without coordinates, warm starts or a score of our own."""
    name = model.__class__.__name__.lower()
    return GridSearchCV(
        make_pipeline(StandardScaler(), model),
        {f"{name}__{key}": values for key, values in choices.items()},
        cv=list(task.folds),
        scoring="neg_log_loss" if hasattr(model, "predict_proba") else "accuracy",
    )


@pytest.mark.parametrize("kind", ["logistic_regression", "ridge"])
def test_the_chosen_c_and_its_probe_are_those_of_a_grid_search(cell, kind):
    """Scaling is that of the whole training part here and of each fold there, so that scores differ a little."""
    features, task = cell
    task, x = with_folds(task), features.astype(float)
    probe = train(features, task, replace(CHOOSE, kinds=[kind]))
    if kind == "ridge":
        search = by_hand(task, RidgeClassifier(), {"alpha": [1 / (2 * c) for c in CHOOSE.C]})
    else:
        search = by_hand(task, LogisticRegression(max_iter=1000, tol=1e-6), {"C": CHOOSE.C})
    search.fit(x[TRAIN], task.labels[TRAIN])
    (best,) = search.best_params_.values()
    assert probe.scores["C"] == pytest.approx(1 / (2 * best) if kind == "ridge" else best)
    np.testing.assert_allclose(probe.decision, search.decision_function(x[TEST]), atol=2e-3)


@pytest.mark.parametrize("kind", ["logistic_regression", "ridge", "mass_mean"])
def test_coefficients_give_the_decisions_from_features_as_they_are_in_the_file(cell, kind):
    features, task = cell
    for settings in (ONE, DEFAULT, replace(ONE, standardize=True), CHOOSE):
        given = with_folds(task) if settings.choose else task
        probe = train(features, given, replace(settings, kinds=[kind]))
        decision = features[TEST].astype(float) @ probe.coefficients[:-1] + probe.coefficients[-1]
        np.testing.assert_allclose(decision, probe.decision, atol=1e-4 if settings is ONE else 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_test_statement_reaches_a_probe(cell, kind):
    """Neither its scaling nor its choice of C: other test statements, the same decisions."""
    features, task = cell
    given = with_folds(task)
    settings = replace(CHOOSE, kinds=[kind], max_iter=50)
    whole = train(features, given, settings)
    other = features.copy()
    other[TEST[1:]] = 1e4
    assert train(other, given, settings).decision[0] == whole.decision[0]
    assert train(other, given, settings).scores["C"] == pytest.approx(whole.scores["C"], nan_ok=True)


@pytest.mark.parametrize("C", [0.001, 1.0])
def test_in_coordinates_of_the_row_space_penalised_probes_are_the_same(C):  # noqa: N803
    features, task = data(200)
    x = StandardScaler().fit(features[TRAIN].astype(float)).transform(features.astype(float))
    for model in (LogisticRegression(C=C, tol=1e-10, max_iter=10_000), RidgeClassifier(alpha=C)):
        plain = model.fit(x[TRAIN], task.labels[TRAIN]).decision_function(x[TEST])
        reduced = make_pipeline(RowSpace(), model).fit(x[TRAIN], task.labels[TRAIN])
        assert reduced[:-1].transform(x[TEST]).shape == (len(TEST), len(TRAIN))
        np.testing.assert_allclose(reduced.decision_function(x[TEST]), plain, atol=1e-7)


def test_with_more_rows_than_features_the_row_space_is_everything():
    features, _ = data(8)
    assert RowSpace().fit(features[TRAIN]).transform(features[TEST]) is not None
    np.testing.assert_array_equal(RowSpace().fit(features[TRAIN]).transform(features[TEST]), features[TEST])


# --- Description length -------------------------------------------------------------------------------------


def test_description_lengths_are_of_probes_with_probabilities_and_short_where_labels_are_plain(cell):
    features, task = cell
    settings = replace(ONE, kinds=list(KINDS), description_length=True, standardize=True, max_iter=20)
    plain = features.copy()
    plain[:, 0] = task.labels * 100
    rows = {
        p.kind: (p.scores, q.scores) for p, q in zip(*(train_layer(x, [task], settings) for x in (features, plain)))
    }
    for kind, (scores, of_plain) in rows.items():
        if kind in ("mass_mean", "ridge"):
            assert np.isnan(scores["description_length"])
            continue
        assert scores["compression"] == pytest.approx(80 / scores["description_length"])
        assert of_plain["description_length"] < scores["description_length"]
    assert np.isnan(train(features, task, ONE).scores["description_length"])


def test_one_of_several_c_costs_its_name(cell):
    features, task = cell
    bits = [
        train(features, with_folds(task), replace(CHOOSE, C=choices, description_length=True)).scores[
            "description_length"
        ]
        for choices in ([0.01, 1.0], [0.01, 0.01000001, 1.0, 1.00000001])
    ]
    assert bits[1] - bits[0] == pytest.approx(1, abs=1e-3)


def test_decisions_of_a_sure_mlp_are_finite(cell):
    features, task = cell
    pipeline = estimator("mlp", task, ONE, [1.0]).fit(features[TRAIN], task.labels[TRAIN])
    pipeline[-1].coefs_ = [1e6 * weights for weights in pipeline[-1].coefs_]
    assert np.isfinite(decide(pipeline, features[TEST].astype(float))).all()
