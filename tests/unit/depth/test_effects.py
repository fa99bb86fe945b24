"""Effects over datasets and models: closed forms of Clark, Welch and Hall, SciPy's tests, and how often they are wrong."""

import numpy as np
import pandas as pd
import pytest
from audit_statistics import GRIDS, MOST_FALSE_ALARMS, SPREADS, claim_experiments
from conceptdepth.depth.effects import Effect, effect_of
from scipy import stats

DRAW = np.random.default_rng(0)


def grid(models, datasets, families=1):
    """Return cells of models and datasets, clean and with noise, the first half of the datasets of one domain."""
    rows = [
        (f"m{m}", f"f{m % families}", 2.0 ** (m // families), f"d{d}", "ab"[d >= datasets // 2], "fp32", p)
        for m in range(models) for d in range(datasets) for p in ("clean", "noise")
    ]  # fmt: skip
    return pd.DataFrame(
        rows, columns=["model", "family", "parameters", "dataset", "domain", "quantization", "perturbation"]
    )


def test_the_variances_of_datasets_and_models_are_added_as_in_min_f():
    cells = grid(4, 6)
    values = pd.DataFrame({"v": DRAW.normal(size=len(cells)) + (cells["perturbation"] == "noise")})
    found = effect_of(cells, values, compare="perturbation", of="noise", than="clean")
    pivot = cells.assign(v=values["v"]).pivot_table(index="model", columns=["dataset", "perturbation"], values="v")
    differences = np.array([pivot[f"d{d}"]["noise"] - pivot[f"d{d}"]["clean"] for d in range(6)])
    assert found.effect == pytest.approx(differences.mean())
    f_datasets, f_models = (stats.ttest_1samp(differences.mean(axis=axis), 0).statistic ** 2 for axis in (1, 0))
    min_f = f_datasets * f_models / (f_datasets + f_models)
    assert (found.effect / found.error) ** 2 == pytest.approx(min_f)
    assert found.df == pytest.approx((f_datasets + f_models) ** 2 / (f_datasets**2 / 3 + f_models**2 / 5))
    assert (found.n_datasets, found.n_models) == (6, 4)


def test_without_what_models_add_domains_are_compared_by_welch():
    """Models that all say the same but for a trifle, so that there is a variance of theirs."""
    cells = grid(3, 10).query("perturbation == 'clean'").reset_index(drop=True)
    of_dataset = dict(zip(sorted(set(cells["dataset"])), DRAW.normal(size=10)))
    tiny = 1e-6 * DRAW.normal(size=len(cells))
    found = effect_of(cells, pd.DataFrame(cells["dataset"].map(of_dataset) + tiny), compare="domain", of="a", than="b")
    first, second = ([of_dataset[f"d{d}"] for d in half] for half in (range(5), range(5, 10)))
    reference = stats.ttest_ind(first, second, equal_var=False)
    assert found.effect / found.error == pytest.approx(reference.statistic, rel=1e-4)
    assert found.df == pytest.approx(reference.df, rel=1e-3)
    assert found.p_of_none() >= reference.pvalue - 1e-6, "never less than Welch's, for skewness"


def test_the_effect_of_size_is_the_slope_on_the_logarithm_within_families():
    cells = grid(6, 6, families=2).query("perturbation == 'clean'").reset_index(drop=True)
    values = 0.3 * np.log2(cells["parameters"]) + (cells["family"] == "f1") * 5 + 0.01 * DRAW.normal(size=len(cells))
    found = effect_of(cells, pd.DataFrame(values), compare="size", of="larger", than="smaller")
    assert found.effect == pytest.approx(0.3, abs=0.02)
    means = values.groupby(cells["model"]).mean()
    models = cells.groupby("model")[["parameters", "family"]].first()
    family = (models["family"] == "f1").astype(float)
    x = np.column_stack([np.log2(models["parameters"]), 1 - family, family])
    left = means - x @ np.linalg.lstsq(x, means, rcond=None)[0]
    between_models = (left @ left) / 3 * np.linalg.inv(x.T @ x)[0, 0]
    slopes = [np.polyfit(np.log2(of["parameters"]), of["v"], 1)[0] for _, of in cells.assign(v=values - 5 * (cells["family"] == "f1")).groupby("dataset")]  # fmt: skip
    assert found.error**2 == pytest.approx(between_models + np.var(slopes, ddof=1) / 6, rel=0.05)


def test_skewness_is_taken_out_as_hall_does():
    """With the skewness of a sample its transformation is monotone, and interval and test agree."""
    for skewness in (-0.8, -0.1, 0.0, 0.4, 1.5):
        found = Effect(9, 9, 0.3, 0.1, 8.0, skewness)
        for t in np.linspace(-4, 4, 17):
            assert found._before_hall(found._hall(t)) == pytest.approx(t)
        for bound in found.interval(0.95):
            assert min(found.p_above(bound), found.p_below(bound)) == pytest.approx(0.025, abs=1e-6)
        low, high = found.interval(0.95)
        t = stats.t.interval(0.95, 8, loc=0.3, scale=0.1)
        assert low <= t[0] + 1e-12
        assert t[1] - 1e-12 <= high
    assert Effect(9, 9, 0.3, 0.1, 8.0).interval(0.95) == pytest.approx(t)


def test_equivalence_is_that_the_interval_is_within_the_margin():
    found = Effect(9, 9, 0.02, 0.01, 8.0)
    assert found.p_of_more(0.05) == pytest.approx(2 * stats.t.sf(3, 8))
    assert found.p_of_more(0.0) > 0.5
    assert Effect(9, 9, 0.05, 0.001, 8.0).p_of_more(0.05) == pytest.approx(1)
    low, high = found.interval(0.95)
    assert found.p_of_more(max(-low, high)) == pytest.approx(0.05)


def test_too_few_or_nothing_that_varies_is_no_test():
    for models, datasets, compare in ((2, 9, "perturbation"), (9, 5, "perturbation"), (9, 7, "domain"), (3, 9, "size")):
        cells = grid(models, datasets, families=2 if compare == "size" else 1)
        values = pd.DataFrame(DRAW.normal(size=len(cells)))
        of, than = ("a", "b") if compare == "domain" else ("noise", "clean")
        assert np.isnan(effect_of(cells, values, compare=compare, of=of, than=than).error), (models, datasets, compare)
    cells = grid(5, 6)
    tied = pd.DataFrame((cells["perturbation"] == "noise").astype(float))
    found = effect_of(cells, tied, compare="perturbation", of="noise", than="clean")
    assert (found.effect, np.isnan(found.p_of_none())) == (1.0, True)


def test_differences_that_are_equal_but_for_rounding_decide_nothing():
    cells = grid(3, 6)
    base = cells["dataset"].map({f"d{d}": 0.3 + d / 10 for d in range(6)}) + cells["model"].map(
        {"m0": 0, "m1": 0.01, "m2": 0.03}
    )
    values = pd.DataFrame(base + 0.1 * (cells["perturbation"] == "noise"))
    found = effect_of(cells, values, compare="perturbation", of="noise", than="clean")
    assert found.effect == pytest.approx(0.1)
    assert np.isnan(found.p_of_none())


def test_a_domain_that_only_large_models_know_is_not_compared_by_the_models_that_know_it():
    cells = grid(6, 10).assign(size=lambda t: np.log2(t["parameters"]))
    values = cells["size"] + 0.3 * (cells["perturbation"] == "noise") + 0.01 * DRAW.normal(size=len(cells))
    seen = (cells["domain"] == "a") | ((cells["size"] >= 3) & (cells["perturbation"] == "clean"))
    found = effect_of(cells[seen], pd.DataFrame(values[seen]), compare="domain", of="b", than="a")
    assert found.effect == pytest.approx(0, abs=0.02)
    assert found.n_models == 3


@pytest.mark.parametrize(
    "cells",
    [GRIDS[0], GRIDS[2], *(pytest.param(grid, marks=pytest.mark.long) for grid in (GRIDS[1], *GRIDS[3:6]))],
    ids=str,
)
def test_effects_that_are_not_there_are_seldom_called(cells):
    """A short form of `make audit-statistics`: none of five spreads beyond its bar by more than two errors."""
    table = claim_experiments([cells], SPREADS, repetitions=60)
    for column in ("false_alarms", "false_equality"):
        assert table[column].max() <= MOST_FALSE_ALARMS + 2 * np.sqrt(0.05 * 0.95 / 60)
    assert table["coverage"].min() >= 0.93 - 2 * np.sqrt(0.05 * 0.95 / 60)
