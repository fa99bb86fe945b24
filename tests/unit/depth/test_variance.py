"""Spreads of factors against closed forms, simulated components of variance, and what is the same under two names."""

import itertools

import numpy as np
import pandas as pd
import pytest
from conceptdepth.depth.variance import FACTORS, STATEMENTS, variance_rows

POSITIONS = {"last": 0.0, "text_last": 0.1, "text_mean": 0.4}
RENDERINGS = {"clean": 0.0, "chat": 0.3}


def grid(value, positions=tuple(POSITIONS), renderings=tuple(RENDERINGS), seeds=(1,)):
    """Return answers of a grid, ``value`` by position, rendering and seed."""
    rows = [
        {"position": p, "perturbation": r, "site": "residual", "seed": s, "curve": curve, "thing": curve,
         "value": value(p, r, s)}
        for curve, (p, r) in enumerate(itertools.product(positions, renderings))
        for s in seeds
    ]  # fmt: skip
    return pd.DataFrame(rows)


def no_draws(answers, draws=3):
    """Draws in which nothing moves, of each curve."""
    return pd.DataFrame(np.zeros((answers["curve"].nunique(), draws)))


def measured(answers, draws=None):
    rows = variance_rows(answers, no_draws(answers) if draws is None else draws)
    return pd.DataFrame(rows).set_index("factor")


def added(p, r, s):
    return POSITIONS[p] + RENDERINGS[r]


def test_factors_that_add_up_have_the_variance_of_their_levels():
    found = measured(grid(added))
    assert found.loc["position", "sd"] == pytest.approx(np.std(list(POSITIONS.values()), ddof=1))
    assert found.loc["perturbation", "sd"] == pytest.approx(np.std(list(RENDERINGS.values()), ddof=1))
    assert found.loc[["position", "perturbation"], "share"].sum() == pytest.approx(1)
    assert found["levels"].to_dict() == {"position": 3, "perturbation": 2, STATEMENTS: 3}
    assert found["pairs"].dropna().to_dict() == {"position": 6, "perturbation": 3}
    row = found.loc["position"]
    assert (row["lowest"], row["highest"]) == ("last", "text_mean")
    assert row[["lowest_mean", "highest_mean", "largest_difference"]].tolist() == pytest.approx([0.15, 0.55, 0.4])


def test_a_choice_that_makes_no_difference_has_no_share():
    found = measured(grid(lambda p, r, s: POSITIONS[p]))
    assert found.loc["perturbation", ["sd", "share", "largest_difference"]].tolist() == [0, 0, 0]
    assert found.loc["position", "share"] == pytest.approx(1)


def test_on_a_whole_grid_a_spread_is_the_mean_variance_within_strata():
    """The numerator of the total-effect index in the form of Homma and Saltelli, with interactions of all orders."""
    draw = np.random.default_rng(0)
    answers = grid(lambda p, r, s: draw.normal(), seeds=(1, 2, 3, 4))
    found = measured(answers)
    for factor in ("position", "perturbation", "seed"):
        others = [name for name in FACTORS if name != factor]
        within = answers.groupby(others)["value"].var(ddof=1).mean()
        assert found.loc[factor, "sd"] ** 2 == pytest.approx(within)


# On a whole grid the test before has what is to come out.
@pytest.mark.parametrize("lost", [pytest.param(0.0, marks=pytest.mark.long), 0.3])
def test_spreads_are_components_of_variance_on_grids_with_holes(lost):
    """Mean over simulated experiments, of effects and interactions whose variances are known."""
    draw = np.random.default_rng(1)
    positions, renderings, seeds = (
        tuple(f"{name}{n}" for n in range(size)) for name, size in (("p", 5), ("r", 4), ("s", 3))
    )
    variances, totals = [], []
    for _ in range(150):
        p, r = (dict(zip(names, draw.normal(0, sd, len(names)))) for names, sd in ((positions, 0.3), (renderings, 0.2)))
        both = {names: draw.normal(0, 0.1) for names in itertools.product(positions, renderings)}
        answers = grid(
            lambda one, other, _, p=p, r=r, both=both: p[one] + r[other] + both[one, other] + draw.normal(0, 0.15),
            positions, renderings, seeds,
        )  # fmt: skip
        kept = answers[answers["curve"].isin(np.flatnonzero(draw.random(20) >= lost))]
        found = measured(kept, pd.DataFrame(np.zeros((20, 3))))
        variances.append(found["sd"] ** 2)
        totals.append(found.loc["position", "sd"] ** 2 / found.loc["position", "share"])
    means = pd.concat(variances, axis=1).mean(axis=1)
    own, noise = {"position": 0.3**2, "perturbation": 0.2**2}, 0.15**2
    for factor, variance in own.items():
        assert means[factor] == pytest.approx(variance + 0.1**2 + noise, rel=0.15)
    assert means["seed"] == pytest.approx(noise, rel=0.05)
    assert np.mean(totals) == pytest.approx(sum(own.values()) + 0.1**2 + noise, rel=0.15)


def test_two_names_of_one_token_count_once():
    """The last token of the text is that of the prompt where the prompt ends with the text, and not in a chat."""
    once = grid(added, positions=("last", "text_mean"))
    twice = pd.concat([once, once[once["position"] == "last"].assign(position="text_last", curve=[4, 5])])
    found = measured(twice, pd.DataFrame(np.zeros((6, 3))))
    pd.testing.assert_frame_equal(
        found.drop(columns=["levels", "n_curves"]), measured(once).drop(columns=["levels", "n_curves"])
    )
    assert found.loc["position", ["levels", "distinct_levels"]].tolist() == [3, 2]
    other = twice.assign(thing=[0, 1, 2, 3, 0, 9])  # Of a chat it is another token, with an answer of its own.
    other.loc[other["thing"] == 9, "value"] = 0.9
    found = measured(other, pd.DataFrame(np.zeros((6, 3)))).loc["position"]
    assert found[["levels", "distinct_levels", "pairs"]].tolist() == [3, 3, 1 + 3]
    clean, chat = [0.0, 0.4], [0.3, 0.7, 0.9]
    assert found["sd"] ** 2 == pytest.approx((np.var(clean, ddof=1) + 3 * np.var(chat, ddof=1)) / 4)


def test_levels_are_held_against_each_other_wherever_both_were_run():
    """Also where one of them goes by the name of a third: an alias in half of the wordings."""
    once = grid(added, positions=("last", "text_mean"))
    alias = once[once["position"] == "last"].assign(position="text_last", curve=[4, 5])
    alias.loc[alias["perturbation"] == "chat", ["thing", "value"]] = [9, 0.9]
    found = measured(pd.concat([once, alias]), pd.DataFrame(np.zeros((6, 3)))).loc["position"]
    value = once.set_index(["position", "perturbation"])["value"]
    means = {
        ("last", "text_mean"): [value["last"].mean(), value["text_mean"].mean()],
        ("text_last", "text_mean"): [(value["last", "clean"] + 0.9) / 2, value["text_mean"].mean()],
        ("last", "text_last"): [value["last"].mean(), (value["last", "clean"] + 0.9) / 2],
    }
    furthest = max(means, key=lambda levels: abs(np.diff(means[levels])).item())
    assert {found["lowest"], found["highest"]} == set(furthest)
    assert [found["lowest_mean"], found["highest_mean"]] == pytest.approx(sorted(means[furthest]))


def test_curves_without_a_depth_are_left_out_and_counted():
    answers = grid(added)
    answers.loc[answers["position"] == "text_mean", "value"] = np.nan
    found = measured(answers)
    assert found[["n_curves", "n_without"]].drop_duplicates().to_numpy().tolist() == [[6, 2]]
    assert found.loc["position", ["levels", "pairs", "highest"]].tolist() == [2, 2, "text_last"]
    assert found.loc["position", "sd"] == pytest.approx(0.1 / np.sqrt(2))
    nothing = measured(answers.assign(value=np.nan))
    assert nothing[["sd", "share"]].isna().all(axis=None)
    assert nothing["n_without"].tolist() == [6] * 3


def test_a_factor_of_one_level_has_no_row():
    assert list(measured(grid(added, renderings=("clean",))).index) == ["position", STATEMENTS]
    alone = measured(grid(added, positions=("last",), renderings=("clean",)), pd.DataFrame([[-0.1, 0.1]]))
    assert list(alone.index) == [STATEMENTS]
    assert alone.loc[STATEMENTS, "sd"] == pytest.approx(np.std([-0.1, 0.1], ddof=1))
    assert alone.loc[STATEMENTS, "share"] == 1


def test_splits_are_samples_and_have_no_lowest():
    found = measured(grid(lambda p, r, s: added(p, r, s) + s / 10, seeds=(1, 2, 3)))
    assert found.loc["seed", "sd"] == pytest.approx(0.1)
    assert found.loc["seed", ["levels", "distinct_levels"]].tolist() == [3, 3]
    assert found.loc["seed", ["lowest", "highest", "largest_difference"]].isna().all()


def test_what_is_only_sampling_of_statements_is_told_apart():
    """Cells that differ by noise alone: theirs is what draws say, and on average nothing is left beyond it."""
    draw = np.random.default_rng(2)
    shared, own, found = 0.2, 0.1, []
    for _ in range(150):
        once = draw.normal(0, own, 6)
        answers = grid(lambda *_: 0.0)
        draws = draw.normal(0, shared, (1, 400)) + draw.normal(0, own, (6, 400))
        found.append(measured(answers.assign(value=once), pd.DataFrame(draws)))
    position = pd.DataFrame([table.loc["position"] for table in found])
    assert np.mean(position["sd"].astype(float) ** 2) == pytest.approx(own**2, rel=0.1)
    assert np.mean(position["sd_noise"].astype(float) ** 2) == pytest.approx(own**2, rel=0.02)
    statements = pd.DataFrame([table.loc[STATEMENTS] for table in found])
    assert np.mean(statements["sd"].astype(float) ** 2) == pytest.approx(own**2 + shared**2, rel=0.02)
    # Of two experiments that have nothing alike: what is shared, once, and what is each one's own, once.
    total = np.mean([(row["sd"] ** 2 / row["share"]) for _, row in statements.iterrows()])
    assert total == pytest.approx(own**2 + shared**2, rel=0.05)


def test_a_large_effect_is_beyond_the_noise():
    draws = pd.DataFrame(np.random.default_rng(3).normal(0, 0.01, (6, 500)))
    found = measured(grid(added), draws).loc["position"]
    assert found["sd_noise"] == pytest.approx(0.01, rel=0.1)
    assert found["sd_beyond_noise"] == pytest.approx(np.sqrt(found["sd"] ** 2 - found["sd_noise"] ** 2))
    assert found["sd_beyond_noise"] == pytest.approx(np.std(list(POSITIONS.values()), ddof=1), rel=0.01)


def test_without_draws_only_shares_and_noise_are_unknown():
    answers = grid(added)
    found = measured(answers, pd.DataFrame(index=range(6)))
    assert found.loc["position", "sd"] > 0
    assert found[["share", "sd_noise", "sd_beyond_noise"]].isna().all(axis=None)


def test_where_nothing_varies_nothing_has_a_share():
    found = measured(grid(lambda *_: 1.0, seeds=(1, 2)))
    assert (found["sd"] == 0).all()
    assert found["share"].isna().all()
