"""Figures of any number of datasets, models, sites and probes show all that was asked for, and nothing is cut off."""

import itertools

import numpy as np
import pandas as pd
import pytest
from conceptdepth.depth.definitions import describe_curve
from conceptdepth.figures.curves import draw_curves
from matplotlib import pyplot as plt
from plot_ablation import plot_ablation
from plot_answers import plot_answers
from plot_depths import POINTS, plot_depths
from plot_drift import plot_drift

COUNTS = (1, 2, 3, 9)
LAYERS = 12
ONE = [("mlp_input", "logistic_regression")]
FOUR = list(itertools.product(["mlp_input", "residual"], ["logistic_regression", "mass_mean"]))


def labels_of(n_datasets, n_models):
    names = ["Movie snippets", "Transitive order", "Cities (GoT)", "CommonClaim", "HateEval"]
    domains = ["emotional", "inferential", "factual"]
    return {
        "models": {f"m{n}": {"label": f"Qwen1.5-{n}.8B"} for n in range(n_models)},
        "datasets": {f"d{n}": {"label": names[n % 5], "domain": domains[n % 3]} for n in range(n_datasets)},
    }


def scores_of(labels, probed=ONE):
    """Return ``layer_scores.csv`` of two formats and texts; of residual streams no probe converged, of others all."""
    draw = np.random.default_rng(0)
    rows = [
        {"model": model, "quantization": quantization, "dataset": dataset, "perturbation": perturbation, "site": site,
         "probe": probe, "target": "concept", "layer": layer, "n_layers": LAYERS, "seed": seed,
         "accuracy": 0.5 + layer / 30 + draw.uniform(0, 0.1), "auc": draw.uniform(0.5, 1), "majority": 0.5,
         "converged": site == "mlp_input"}
        for model, quantization, dataset, perturbation, (site, probe), layer, seed in itertools.product(
            labels["models"], ("fp32", "int8"), labels["datasets"], ("clean", "noise"), probed, range(LAYERS), (1, 2)
        )
    ]  # fmt: skip
    return pd.DataFrame(rows)


def curves_of(labels, probed):
    return scores_of(labels, probed).query("layer == 0 and seed == 1").drop(columns=["accuracy", "layer"])


def depths_of(labels, probed=ONE):
    points = dict(zip(POINTS, (0.3, 0.4, 0.5, 0.6)))
    return curves_of(labels, probed).assign(
        **points, gain_centre_low=0.2, gain_centre_high=0.4, above_baselines=True,
        mostly_converged=lambda rows: rows["converged"], converged=lambda rows: rows["converged"].astype(float),
    )  # fmt: skip


def drift_of(labels, probed=ONE):
    scores = scores_of(labels, probed).query("seed == 1")
    of_formats = scores.query("quantization == 'int8'").assign(compared="quantization", first="fp32", second="int8")
    of_texts = scores.query("perturbation == 'noise'").assign(compared="perturbation", first="clean", second="noise")
    change = {"relative_change": 0.02, "transfer_change": 0.0}
    return pd.concat([of_formats, of_texts]).assign(**change, transfer_change_low=-0.1, transfer_change_high=0.1)


def ablation_of(labels, probed=ONE):
    switches = [("none", 0.8), ("emotion_prompt", 0.7), ("one_prompt_a_pass", 0.9)]
    return pd.concat([
        curves_of(labels, probed).assign(switch=name, peak_accuracy=value, converging_point_published=value)
        for name, value in switches
    ])  # fmt: skip


def answers_of(labels):
    return curves_of(labels, ONE).assign(accuracy=0.6)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


FIGURES = {
    "accuracy": lambda labels, probed: draw_curves(scores_of(labels, probed), labels, compare="model"),
    "formats": lambda labels, probed: draw_curves(scores_of(labels, probed), labels, compare="quantization"),
    "depths": lambda labels, probed: plot_depths(depths_of(labels, probed), labels),
    "drift": lambda labels, probed: plot_drift(drift_of(labels, probed), labels),
    "answers": lambda labels, probed: plot_answers(answers_of(labels), scores_of(labels, probed), labels),
    "ablation": lambda labels, probed: plot_ablation(ablation_of(labels, probed), labels),
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_lies_outside_the_figure(name, count):
    """With one model, and with two at two sites by two probes where there is one dataset, the narrowest figure."""
    for n_models, probed in [(1, ONE)] + [(2, FOUR)] * (count == 1):
        figure = FIGURES[name](labels_of(count, n_models), probed)
        figure.canvas.draw()
        width, height = figure.get_size_inches()
        drawn = figure.get_tightbbox()
        assert min(drawn.x0, drawn.y0) >= 0, drawn
        assert drawn.x1 <= width, drawn
        assert drawn.y1 <= height, drawn


# --- Every site and probe -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
def test_every_site_and_probe_has_its_panels(name):
    labels = labels_of(1, 1)
    one, four = (FIGURES[name](labels, probed) for probed in (ONE, FOUR))
    assert len(four.axes) == 4 * len(one.axes)
    said = [text for axis in four.axes for text in (axis.get_title("left"), axis.get_ylabel())]
    for words in itertools.product(["MLP input", "residual stream"], ["logistic regression", "mass mean"]):
        assert any(", ".join(words) in text for text in said)
    assert not any("MLP input" in axis.get_title("left") + axis.get_ylabel() for axis in one.axes)


@pytest.mark.parametrize("compare", ["model", "quantization"])
def test_panels_show_the_curves_of_their_own_site_and_probe_of_five_datasets_in_two_rows(compare):
    labels = labels_of(5, 1)
    scores = scores_of(labels, FOUR)
    panels = [axis for axis in draw_curves(scores, labels, compare=compare).axes if axis.lines]
    held = scores[(scores["quantization"] == "fp32") & (scores["perturbation"] == "clean")]
    expected = held.groupby(["site", "probe", "dataset"], sort=False)
    shown = itertools.product(FOUR, labels["datasets"])
    for axis, ((site, probe), dataset) in zip(panels, shown, strict=True):
        curve = expected.get_group((site, probe, dataset)).groupby("layer")["accuracy"].mean()
        np.testing.assert_allclose(axis.lines[0].get_ydata(), curve)


def test_the_embedding_is_no_site_that_is_drawn():
    labels = labels_of(1, 1)
    scores = scores_of(labels)
    embedding = scores[scores["layer"] == 0].assign(site="embedding", n_layers=1, accuracy=0.1)
    (axis,) = draw_curves(pd.concat([scores, embedding]), labels, compare="model").axes
    assert min(axis.lines[0].get_ydata()) > 0.1


# --- What did not converge ----------------------------------------------------------------------------------


def hollow(axis):
    return [line for line in axis.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "white"]


def test_layers_whose_probes_mostly_did_not_converge_are_hollow_and_the_share_stands_in_the_panel():
    labels = labels_of(2, 1)
    scores = scores_of(labels)
    seed, of_first = scores["seed"] == 1, scores["dataset"] == "d0"
    scores["converged"] = ~(of_first & ((scores["layer"] >= 10) | ((scores["layer"] == 9) & seed)))
    figure = draw_curves(scores, labels, compare="model")
    first, second = figure.axes
    (marks,) = (line for line in hollow(first) if len(line.get_xdata()))
    np.testing.assert_allclose(marks.get_xdata(), np.array([10, 11]) / LAYERS)  # Half of those of layer 9 did.
    assert "79 % of probes converged" in [text.get_text() for text in first.texts]  # 19 of 24.
    assert not any(len(line.get_xdata()) for line in hollow(second))
    assert not any("converged" in text.get_text() for text in second.texts)
    assert any("not converged" in text.get_text() for text in figure.legends[0].texts)
    assert figure.legends[0].get_title().get_text().endswith("89 % of probes converged")  # 43 of 48.


def test_where_all_probes_converged_nothing_is_said_of_it():
    figure = FIGURES["accuracy"](labels_of(1, 1), ONE)
    (legend,) = figure.legends
    assert not any(
        "converged" in text.get_text() for text in [*figure.axes[0].texts, *legend.texts, legend.get_title()]
    )


def test_one_unconverged_probe_of_a_thousand_is_not_rounded_away():
    labels = labels_of(1, 1)
    scores = pd.concat([scores_of(labels)] * 50)
    scores["converged"] = np.arange(len(scores)) > 0
    (axis,) = draw_curves(scores, labels, compare="model").axes
    assert "99 % of probes converged" in [text.get_text() for text in axis.texts]


def test_a_depth_of_a_curve_that_mostly_did_not_converge_is_faded_and_says_so():
    labels = labels_of(2, 1)
    depths = depths_of(labels).query("quantization == 'fp32' and perturbation == 'clean'")
    depths = depths.assign(converged=[1.0, 0.25], mostly_converged=[True, False])
    (axis,) = plot_depths(depths, labels).axes
    solved, unsolved = [line for line in axis.lines if line.get_marker() == "o"]
    assert (list(solved.get_ydata()), list(unsolved.get_ydata())) == ([0], [1])
    assert unsolved.get_alpha() < solved.get_alpha()
    assert [text.get_text() for text in axis.texts] == ["25 % of probes converged"]


def test_points_of_the_depths_figure_count_layers_in_one_way():
    """A curve with one step, at layer 5 of 12: each point is the step's layer, counted from 0."""
    settings = {"jump_ratio": 1.1, "plateau_band": 0.03, "peak_share": 0.95}
    found = describe_curve(np.where(np.arange(LAYERS) < 5, 0.5, 0.9), **settings)
    drawn = set(POINTS) & set(found)
    assert {"jump_point", "converging_point", "gain_centre"} <= drawn
    assert {found[name] for name in (*drawn, "peak_depth")} == {5 / LAYERS}
