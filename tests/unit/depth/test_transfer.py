"""Transferred probes against scikit-learn, planted truth, naive loops and closed forms."""

import itertools

import h5py
import numpy as np
import pytest
from activation_files import write_activations
from conceptdepth.depth.directions import DIRECTIONS, Side, cosines, likeness, whitened_cosines
from conceptdepth.depth.resampling import group_weights
from conceptdepth.depth.transfer import (
    auc,
    can_be_tested,
    held_out,
    learned,
    scores,
    trained_on,
    weighted_areas,
    with_decisions,
)
from conceptdepth.probes.estimators import MassMean, ProbeSettings, coefficients, estimator
from conceptdepth.probes.predictions import Curve, Split
from conceptdepth.probes.splits import splits_of
from conceptdepth.probes.tasks import tasks_of
from measure_transfer import COLUMNS, chosen_layers, measure_transfer
from scipy import stats
from sklearn.metrics import accuracy_score, roc_auc_score

RANDOM = np.random.default_rng(0)
LAYERS, N, WIDTH = 4, 120, 6
KINDS = ["logistic_regression", "mass_mean", "ridge"]
SETTINGS = ProbeSettings(
    split="grouped", test_share=0.4, seeds=[1, 2], C=1.0, max_iter=100, kinds=KINDS, standardize=True
)
INTERVALS = {"draws": 100, "seed": 0, "level": 0.95}


# --- Whole files --------------------------------------------------------------------------------------------------------


class Cell:
    """Vectors whose direction ``along`` tells the class, real probes of them, and the files of both."""

    def __init__(self, folder, dataset, along, *, perturbation="clean", seed=0, group="{dataset} {n}"):
        draw = np.random.default_rng(seed)
        self.labels = np.tile([0, 1], N // 2).astype(np.int8)
        self.groups = np.array([group.format(dataset=dataset, n=n // 2) for n in range(N)], dtype=object)
        scale = np.array([1, 2, 5, 0.5, 1, 1])
        self.vectors = (draw.normal(size=(LAYERS, N, WIDTH)) * scale).astype(np.float32)
        self.vectors += (3 * (self.labels - 0.5)[:, np.newaxis] * along * scale).astype(np.float32)
        self.splits = list(splits_of(self.labels, self.groups, SETTINGS))
        name = f"{dataset}.{perturbation}"
        self.activations, self.probes = str(folder / f"{name}.a.h5"), str(folder / f"{name}.p.h5")
        rows = [{"id": f"s{n}", "label": self.labels[n], "group": self.groups[n]} for n in range(N)]
        # At another position layers stand in another order, and a third has the tokens of the first.
        at = {"last": self.vectors, "text_mean": self.vectors[::-1], "text_last": self.vectors}
        vectors = {"residual": at, "embedding": {position: values[:1] for position, values in at.items()}}
        vectors["embedding"]["text_last"] = vectors["embedding"]["last"]
        write_activations(self.activations, vectors, rows)
        self.fitted = {}
        with h5py.File(self.probes, "w") as file:
            names = {"model": "m", "quantization": "fp32", "dataset": dataset, "perturbation": perturbation}
            file.attrs.update(names | {"sites": ["residual"], "positions": list(at), "probes": [*KINDS, "mlp"]})
            file.create_dataset("label", data=self.labels)
            file.create_dataset("group", data=self.groups, dtype=h5py.string_dtype())
            for position, kind in itertools.product(["last", "text_mean"], [*KINDS, "mlp"]):
                for task in tasks_of(self.labels, self.groups, self.splits, controls=[], choose=False):
                    group = file.create_group(f"residual/{position}/{kind}/concept/seed_{task.seed}")
                    layers = [self.fit(kind, task, values) for values in at[position].astype(np.float64)]
                    self.fitted[position, kind, task.seed] = layers
                    values = at[position][:, task.test].astype(np.float64)
                    group["test"] = task.test
                    group["decision"] = [one.decision_function(x) for one, x in zip(layers, values)]
                    if kind != "mlp":
                        group["coefficients"] = [coefficients(one) for one in layers]
            file["residual/text_last"] = file["residual/last"]

    @staticmethod
    def fit(kind, task, values):
        # No decisions of a network are read here: those of another probe stand in their place.
        kind = "mass_mean" if kind == "mlp" else kind
        return estimator(kind, task, SETTINGS, [1.0]).fit(values[task.train], task.labels[task.train])


FIRST, SECOND = np.eye(WIDTH)[:2]


def table_of(*cells, layers=3):
    activations, probes = [cell.activations for cell in cells], [cell.probes for cell in cells]
    table = measure_transfer(activations, probes, layers=layers, intervals=INTERVALS)
    assert tuple(table.columns) == COLUMNS
    return table


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    return {
        "a": Cell(folder, "a", FIRST),
        "alike": Cell(folder, "alike", FIRST, seed=1),
        "orthogonal": Cell(folder, "orthogonal", SECOND, seed=2),
        "opposite": Cell(folder, "opposite", -FIRST, seed=3),
        "noise": Cell(folder, "a", FIRST + SECOND, perturbation="noise", seed=4),
    }


@pytest.fixture(scope="module")
def table(cells):
    return table_of(*cells.values())


def test_a_probe_is_tested_elsewhere_as_scikit_learn_would_with_its_scaling(cells, table):
    for kind, (place, differs) in itertools.product(KINDS, [("alike", "dataset"), ("noise", "perturbation")]):
        tested, trained = cells[place], cells["a"]
        rows = table[(table["transferred"] == differs) & (table["probe"] == kind) & (table["position"] == "last")]
        rows = rows[(rows["from"] == {"dataset": "a", "perturbation": "clean"}[differs]) & (rows["to"] == place)]
        for layer in range(LAYERS):
            found = []
            for seed, _, test in tested.splits:
                decisions = [
                    cell.fitted["last", kind, seed][layer].decision_function(tested.vectors[layer, test].astype(float))
                    for cell in (trained, tested)
                ]
                labels = tested.labels[test]
                found.append([f for d in decisions for f in (accuracy_score(labels, d > 0), roc_auc_score(labels, d))])
            (row,) = rows[rows["layer"] == layer].to_dict("records")
            expected = [row[name] for name in ("accuracy", "auc", "accuracy_in_domain", "auc_in_domain")]
            assert np.mean(found, axis=0) == pytest.approx(expected)
            assert row["auc_change"] == pytest.approx(row["auc"] - row["auc_in_domain"])
            assert row["accuracy_low"] < row["accuracy"] <= row["accuracy_high"]


def test_each_pair_that_differs_in_one_thing_is_there_and_no_other(table):
    datasets = ["a", "alike", "opposite", "orthogonal"]
    of_kind = table[(table["probe"] == "ridge") & (table["layer"] == table["layer_of_vectors"]) & (table["layer"] == 0)]
    pairs = of_kind.groupby("transferred")[["perturbation", "position", "from", "to"]].apply(
        lambda rows: sorted(map(tuple, rows.to_numpy()))
    )
    positions = ["last", "text_mean"]
    among = [("clean", p, a, b) for p in positions for a in datasets for b in datasets]
    assert pairs["dataset"] == sorted(among + [("noise", p, "a", "a") for p in positions])
    assert pairs["perturbation"] == sorted(
        (b, p, a, b) for p in positions for a, b in (("clean", "noise"), ("noise", "clean"))
    )
    assert {pair[2:] for pair in pairs["position"]} == {("last", "text_mean"), ("text_mean", "last")}
    assert set(table["probe"]) == set(KINDS), "of a network there are no coefficients"
    assert set(table["site"]) == {"residual"}


def test_on_its_own_statements_a_probe_has_its_own_scores_and_directions(cells, table):
    own = table[(table["transferred"] == "dataset") & (table["from"] == table["to"])]
    diagonal = table[(table["transferred"] == "layer") & (table["layer"] == table["layer_of_vectors"])]
    for rows in (own, diagonal):
        np.testing.assert_array_equal(rows["accuracy"], rows["accuracy_in_domain"])
        np.testing.assert_array_equal(rows["auc"], rows["auc_in_domain"])
        np.testing.assert_allclose(rows[["cosine", "whitened_cosine"]], 1)
    rows = own[(own["to"] == "a") & (own["perturbation"] == "clean") & (own["position"] == "last")]
    for row in rows.to_dict("records"):
        with h5py.File(cells["a"].probes) as file:
            splits = file[f"residual/last/{row['probe']}/concept"].values()
            found = [
                np.mean((split["decision"][row["layer"]] > 0) == cells["a"].labels[split["test"][:]])
                for split in splits
            ]
        assert row["accuracy"] == pytest.approx(np.mean(found))


def test_what_shares_a_direction_transfers_what_is_orthogonal_does_not_and_what_is_opposite_is_below_a_half(table):
    between = table[(table["transferred"] == "dataset") & (table["from"] == "a") & (table["perturbation"] == "clean")]
    means = between.groupby(["probe", "to"])[["auc", "whitened_cosine", "auc_in_domain"]].mean()
    for kind in KINDS:
        assert means.loc[(kind, "alike"), "auc"] > 0.9
        assert abs(means.loc[(kind, "orthogonal"), "auc"] - 0.5) < 0.15
        assert means.loc[(kind, "opposite"), "auc"] < 0.1
        assert means.loc[(kind, "alike"), "whitened_cosine"] > 0.9
        assert means.loc[(kind, "opposite"), "whitened_cosine"] < -0.9
    assert (means["auc_in_domain"] > 0.9).all()


def test_layer_on_layer_takes_the_probe_of_one_and_the_vectors_of_another(cells, table):
    rows = table[(table["transferred"] == "layer") & (table["dataset"] == "orthogonal") & (table["position"] == "last")]
    rows = rows[rows["probe"] == "ridge"].set_index(["layer", "layer_of_vectors"])
    chosen = chosen_layers(LAYERS, 3)
    assert sorted(rows.index) == list(itertools.product(chosen, chosen))
    cell = cells["orthogonal"]
    found = [
        np.mean((cell.fitted["last", "ridge", seed][0].decision_function(cell.vectors[3, test]) > 0) == cell.labels[test])
        for seed, _, test in cell.splits
    ]  # fmt: skip
    assert rows.loc[(0, 3), "accuracy"] == pytest.approx(np.mean(found))
    assert rows.loc[(0, 3), ["from", "to"]].tolist() == ["0", "3"]


def test_layers_are_spread_from_the_first_to_the_last():
    assert chosen_layers(30, 4) == [0, 10, 19, 29]
    assert chosen_layers(3, 10) == [0, 1, 2]
    assert chosen_layers(30, 0) == []


def test_without_layers_and_other_places_nothing_is_tested(cells):
    assert table_of(cells["a"], layers=0)["transferred"].unique().tolist() == ["position"]


def test_without_draws_there_are_scores_and_no_intervals(cells):
    chosen = cells["a"].activations, cells["alike"].activations
    probes = cells["a"].probes, cells["alike"].probes
    table = measure_transfer(chosen, probes, layers=0, intervals=INTERVALS | {"draws": 0})
    assert table.filter(regex="^(accuracy|auc|auc_change)_(low|high)$").isna().all(axis=None)
    assert table[["accuracy", "auc", "auc_change", "auc_random_high", "whitened_cosine"]].notna().all(axis=None)


# --- Which statements ---------------------------------------------------------------------------------------------------


def test_statements_of_a_group_that_the_other_was_trained_on_are_left_out():
    groups = np.array([f"city {n // 2}" for n in range(80)], dtype=object)
    labels = np.tile([0, 1], 40).astype(np.int8)
    tests = {"a": [np.arange(40), np.arange(60, 80)], "b": [np.arange(20, 70), np.arange(10)]}
    trained, tested = (
        Curve({"dataset": name}, labels, groups, tuple(Split(test, None) for test in tests[name])) for name in "ab"
    )
    found = held_out(trained, tested)
    assert [test.tolist() for test in found] == [list(range(20, 40)), []]
    for statements, split in zip(found, trained.splits):
        assert not {groups[n] for n in statements} & {groups[n] for n in trained_on(trained, split)}
    assert not can_be_tested(tested, found)
    assert can_be_tested(tested, found[:1])


def test_where_all_groups_overlap_the_pair_is_left_out_and_said_to_be(tmp_path, caplog):
    # The same names in the same splits hold out the same groups; one split, turned round, leaves nothing.
    one, other = Cell(tmp_path, "a", FIRST, group="city {n}"), Cell(tmp_path, "b", FIRST, group="city {n}")
    groups, labels = one.groups, one.labels
    trained = Curve({"dataset": "a"}, labels, groups, (Split(np.arange(60), None),))
    tested = Curve({"dataset": "b"}, labels, groups, (Split(np.arange(60, 120), None),))
    assert [len(test) for test in held_out(trained, tested)] == [0]
    assert not can_be_tested(tested, held_out(trained, tested))
    for split in ("1", "2"):
        turned = np.setdiff1d(np.arange(N), one.splits[int(split) - 1][2])
        with h5py.File(other.probes, "r+") as file:
            for position, kind in itertools.product(["last", "text_mean"], [*KINDS, "mlp"]):
                group = file[f"residual/{position}/{kind}/concept/seed_{split}"]
                del group["test"], group["decision"]
                group["test"], group["decision"] = turned, np.zeros((LAYERS, len(turned)))
    table = table_of(one, other, layers=0)
    assert not ((table["transferred"] == "dataset") & (table["from"] != table["to"])).any()
    assert "from a to b nothing of both classes is left to test: their groups overlap" in caplog.text


def test_numbers_of_rows_are_no_groups_of_another_dataset():
    groups = np.arange(10).astype(str).astype(object)
    curves = [Curve({"dataset": name}, np.zeros(10, np.int8), groups, (Split(np.arange(4), None),)) for name in "ab"]
    assert held_out(*curves)[0].tolist() == [0, 1, 2, 3]


def test_renderings_of_other_splits_are_refused():
    groups = np.arange(10).astype(str).astype(object)
    splits = (Split(np.arange(4), None), Split(np.arange(1, 5), None))
    one, other = (Curve({"dataset": "a"}, np.zeros(10, np.int8), groups, (split,)) for split in splits)
    with pytest.raises(ValueError, match="not of the same statements and splits"):
        held_out(one, other)


# --- Areas and intervals ------------------------------------------------------------------------------------------------


def test_an_area_under_weights_is_scikit_learns_and_that_of_a_naive_loop_ties_included():
    labels = RANDOM.permutation(np.repeat([0, 1], [12, 18])).astype(np.int8)
    decision = np.round(RANDOM.normal(size=30) + labels, 1)
    weights = RANDOM.integers(0, 3, size=(5, 30)).astype(float)
    (found,) = weighted_areas(labels, decision[np.newaxis], weights)
    for area, own in zip(found, weights):
        assert area == pytest.approx(roc_auc_score(labels, decision, sample_weight=own))
        pairs = [(i, j) for i in np.flatnonzero(labels == 1) for j in np.flatnonzero(labels == 0)]
        right = sum(
            own[i] * own[j] * ((decision[i] > decision[j]) + (decision[i] == decision[j]) / 2) for i, j in pairs
        )
        assert area == pytest.approx(right / sum(own[i] * own[j] for i, j in pairs))
    assert np.isnan(weighted_areas(labels, decision[np.newaxis], (labels == 1)[np.newaxis].astype(float)))


def test_the_area_of_a_draw_is_the_mean_over_splits_of_groups_that_were_drawn():
    groups = np.repeat(np.arange(20), 2).astype(str).astype(object)
    labels = np.tile([0, 1], 20).astype(np.int8)
    tests = [np.arange(0, 16), np.arange(10, 30)]
    curve = Curve({}, labels, groups, ())
    curve = with_decisions(curve, tests, [RANDOM.normal(size=(3, len(test))) for test in tests])
    weights = group_weights(groups, draws=4, seed=0)
    names = np.unique(groups.astype(str)).tolist()
    for draw, layer in itertools.product(range(4), range(3)):
        expected = []
        for split in curve.splits:
            drawn = [weights[draw, names.index(groups[n])] for n in split.test]
            expected.append(roc_auc_score(labels[split.test], split.decision[layer], sample_weight=drawn))
        assert auc(curve, weights)[draw, layer] == pytest.approx(np.mean(expected))
    assert auc(curve)[1] == pytest.approx(np.mean([roc_auc_score(labels[s.test], s.decision[1]) for s in curve.splits]))


REPETITIONS = 150


def experiments(signal, directions, strength):
    """Yield scores of probes from one dataset on another: drawn, split and trained anew; pairs share half of their noise."""
    draw = np.random.default_rng(5)
    labels = np.tile([0, 1], 50).astype(np.int8)
    for _ in range(REPETITIONS):
        curves, vectors, probes = [], [], []
        for name, direction, size in zip("ab", directions, (signal, strength)):
            groups = np.array([f"{name}{n // 2}" for n in range(100)], dtype=object)
            noise = np.repeat(draw.normal(size=(50, 5)), 2, axis=0) + draw.normal(size=(100, 5))
            x = noise / 2**0.5 + size * labels[:, np.newaxis] * direction
            tests = [np.flatnonzero(np.isin(np.arange(100) // 2, draw.permutation(50)[:20])) for _ in range(3)]
            curve = Curve({"dataset": name}, labels, groups, tuple(Split(test, None) for test in tests))
            trained = [trained_on(curve, split) for split in curve.splits]
            probes.append([MassMean().fit(x[part], labels[part]) for part in trained])
            curves.append(curve)
            vectors.append(x)
        weights = [group_weights(curve.groups, draws=100, seed=0) for curve in curves]
        at_home = decided(curves[0], [split.test for split in curves[0].splits], probes[0], vectors[0])
        known = learned(at_home, weights[0], 0.95)
        statements = held_out(*curves)
        moved, own = (decided(curves[1], statements, each, vectors[1]) for each in probes)
        yield {name: found[0] for name, found in scores(moved, own, 0.6, known, weights[1], 0.95).items()}


def decided(curve, statements, probes, x):
    decisions = [probe.decision_function(x[test])[np.newaxis] for probe, test in zip(probes, statements)]
    return with_decisions(curve, statements, decisions)


E1, E2 = np.eye(5)[:2]


@pytest.mark.parametrize(
    ("signal", "directions", "strength"),
    [(1.2, (E1, E1), 1.2), (1.2, (E1, (E1 + 3**0.5 * E2) / 2), 2), (1.0, (E1, E2), 2)],
    ids=["shared", "sixty degrees", "orthogonal and strong"],
)
def test_intervals_hold_what_the_experiment_gives_on_average(signal, directions, strength):
    found = list(experiments(signal, directions, strength))
    known = [one for one in found if not np.isnan(one["auc_low"])]
    assert len(known) > 0.9 * REPETITIONS
    for name in ("accuracy", "auc", "auc_change"):
        truth = np.mean([one[name] for one in found])
        held = np.mean([one[f"{name}_low"] <= truth <= one[f"{name}_high"] for one in known])
        assert held > 0.95 - 2 * np.sqrt(0.95 * 0.05 / len(known)), name


def test_a_probe_that_learned_nothing_has_no_interval():
    """Its direction is a random one, which may tell the classes of another dataset well, and by luck alone."""
    found = list(experiments(0, (E1, E2), 2))
    assert np.mean([np.isnan(one["auc_low"]) for one in found]) > 0.95
    assert np.std([one["auc"] for one in found]) > 0.15


def test_of_one_split_there_is_no_interval_and_of_splits_that_differ_a_wider_one():
    groups = np.arange(60).astype(str).astype(object)
    labels = np.tile([0, 1], 30).astype(np.int8)
    draw = np.random.default_rng(0)
    tests = [np.sort(draw.permutation(60)[:24]) for _ in range(8)]
    right = [labels[test] + draw.normal(size=(1, 24)) for test in tests]
    weights = group_weights(groups, draws=50, seed=0)
    widths = []
    for decisions in (right, [*right[:7], -right[7]]):
        curve = with_decisions(Curve({}, labels, groups, ()), tests, decisions)
        found = scores(curve, curve, 0.5, np.array([True]), weights, 0.95)
        widths.append(found["auc_high"] - found["auc_low"])
        assert found["auc_change"] == 0
    assert widths[1] > 1.5 * widths[0]
    one = with_decisions(Curve({}, labels, groups, ()), tests[:1], right[:1])
    assert np.isnan(scores(one, one, 0.5, np.array([True]), weights, 0.95)["auc_low"]).all()


# --- Directions ---------------------------------------------------------------------------------------------------------


def side(n, width, test=30, scale=1.0):
    return Side(RANDOM.normal(size=(n, width)) * scale, np.arange(n - test), np.arange(n - test, n))


def test_a_whitened_cosine_is_that_of_directions_in_whitened_coordinates():
    scale = np.array([10, 1, 0.3, 2, 1])
    sides = side(80, 5, 30, scale), side(90, 5, 40, scale[::-1])
    covariance = np.mean([np.cov(one.vectors[one.test].T, bias=True) for one in sides], axis=0)
    values, axes = np.linalg.eigh(covariance)
    root = axes @ np.diag(np.sqrt(values)) @ axes.T
    first, second = RANDOM.normal(size=(3, 5)), RANDOM.normal(size=(2, 5))
    expected = [
        [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in (root @ other for other in second)]
        for a in (root @ one for one in first)
    ]
    np.testing.assert_allclose(whitened_cosines(first, second, sides), expected)
    # A probe w of x is the probe w / s of s x: the cosine is of what they say, whatever the units.
    other = [Side(one.vectors * scale, one.train, one.test) for one in sides]
    np.testing.assert_allclose(whitened_cosines(first / scale, second / scale, other), expected)
    assert not np.allclose(cosines(first / scale, second / scale), cosines(first, second))


def test_of_one_side_it_is_the_correlation_of_what_two_probes_say():
    one = side(60, 4)
    first, second = RANDOM.normal(size=(2, 1, 4))
    said = [one.vectors[one.test] @ weights[0] for weights in (first, second)]
    assert whitened_cosines(first, second, [one, one]) == pytest.approx(np.corrcoef(*said)[0, 1])


def test_random_directions_of_round_vectors_have_the_closed_form_of_a_sphere():
    width = 12
    sides = side(6000, width, 3000), side(6000, width, 3000)
    weights = [RANDOM.normal(size=(1, width))] * 2
    labels = RANDOM.integers(0, 2, 6000).astype(np.int8)
    found = likeness([weights[0][0]], [weights[1][0]], [sides], labels, seed=0, level=0.95)
    square = stats.beta(0.5, (width - 1) / 2)  # The square of the cosine of two random directions.
    for name in ("cosine", "whitened_cosine"):
        assert found[name] == pytest.approx(1)
        assert found[f"{name}_random"] == pytest.approx(square.expect(np.sqrt), rel=0.1)
        assert found[f"{name}_random_high"] == pytest.approx(np.sqrt(square.ppf(0.95)), rel=0.1)


def test_random_directions_are_differences_of_means_of_random_classes():
    one = side(400, 8, 100, scale=np.array([9, 1, 1, 1, 1, 1, 1, 1]))
    found = one.random_directions(np.random.default_rng(1))
    assert found.shape == (DIRECTIONS, 8)
    draw = np.random.default_rng(2)
    labels = [draw.permutation(np.repeat([0, 1], 150)).astype(np.int8) for _ in range(DIRECTIONS)]
    means = np.array([MassMean().fit(one.vectors[one.train], own).coef_[0] for own in labels])
    for directions in (found, means):
        spread = directions.var(axis=0)
        assert spread[0] / spread[1:].mean() == pytest.approx(81, rel=0.4)
