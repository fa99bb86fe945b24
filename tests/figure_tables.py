"""Made-up tables of any number of datasets, models, sites, positions and probes, and the figures of them."""

import itertools

import numpy as np
import pandas as pd
from conceptdepth.depth.interventions import AGAINST, ALONG, ERASE, LEACE
from conceptdepth.figures.curves import draw_curves
from plot_ablation import plot_ablation
from plot_answers import plot_answers
from plot_causal import plot_causal
from plot_depths import plot_depths
from plot_drift import plot_drift
from plot_lens import plot_lens
from plot_positions import plot_positions
from plot_transfer import plot_transfer

LAYERS = 12
ONE = [("mlp_input", "last", "logistic_regression")]
FOUR = [
    ("mlp_input", "last", "logistic_regression"), ("mlp_input", "prompt_mean", "mass_mean"),
    ("residual", "last", "mass_mean"), ("residual", "prompt_mean", "logistic_regression"),
]  # fmt: skip


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
         "position": position, "probe": probe, "target": "concept", "layer": layer, "n_layers": LAYERS, "seed": seed,
         "accuracy": 0.5 + layer / 30 + draw.uniform(0, 0.1), "auc": draw.uniform(0.5, 1), "majority": 0.5,
         "converged": site == "mlp_input"}
        for model, quantization, dataset, perturbation, (site, position, probe), layer, seed in itertools.product(
            labels["models"], ("fp32", "int8"), labels["datasets"], ("clean", "noise"), probed, range(LAYERS), (1, 2)
        )
    ]  # fmt: skip
    return pd.DataFrame(rows)


def curves_of(labels, probed):
    return scores_of(labels, probed).query("layer == 0 and seed == 1").drop(columns=["accuracy", "layer"])


def depths_of(labels, probed=ONE):
    points = {"gain_centre": 0.3, "first_above_baseline": 0.4, "jump_point": 0.5, "converging_point": 0.6}
    return curves_of(labels, probed).assign(
        same_tokens_as=lambda rows: rows["position"],
        **points, held_out_peak_accuracy=0.8, held_out_peak_accuracy_low=0.7, held_out_peak_accuracy_high=0.9,
        peak_depth=0.75, gain_centre_low=0.2, gain_centre_high=0.4, baseline_accuracy=0.6, above_baselines=True,
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
        curves_of(labels, probed).assign(switch=name, peak_accuracy=value, gain_centre=value, converging_point_published=value)
        for name, value in switches
    ])  # fmt: skip


def transfer_of(labels, probed=ONE):
    """Return the rows of ``transfer.csv`` between datasets."""
    tested = scores_of(labels, probed).query("seed == 1").assign(transferred="dataset", to=lambda rows: rows["dataset"])
    draw = np.random.default_rng(1)
    table = pd.concat([tested.assign(**{"from": trained}) for trained in labels["datasets"]])
    table = table.assign(auc=draw.uniform(0, 1, len(table)), layer_of_vectors=table["layer"])
    return table.assign(auc_low=table["auc"] - 0.05, auc_high=table["auc"] + 0.05).reset_index(drop=True)


def answers_of(labels):
    return curves_of(labels, ONE).assign(accuracy=0.6)


def lens_of(labels):
    draw = np.random.default_rng(1)
    scores = scores_of(labels).query("seed == 1")
    return scores.assign(accuracy=0.55, low=0.5, high=0.6, standard_error=0.02, auc=draw.uniform(0.4, 0.9, len(scores)))


def causal_of(labels):
    """Return the rows of ``causal.csv``, of layers that were changed."""
    draw, tables = np.random.default_rng(2), []
    for number, method in enumerate((ERASE, LEACE, AGAINST, ALONG)):
        rows = scores_of(labels).query("seed == 1 and layer % 2 == 0").assign(method=method)
        effect = number + draw.uniform(-1, 2, len(rows))
        within = {"effect_low": effect - 0.5, "effect_high": effect + 0.5}
        random = {"effect_random_low": -0.5, "effect_random_high": 0.5}
        tables.append(rows.assign(effect=effect, **within, **random, has_effect=effect > 1))
    return pd.concat(tables)


FIGURES = {
    "accuracy": lambda labels, probed: draw_curves(scores_of(labels, probed), labels, compare="model"),
    "formats": lambda labels, probed: draw_curves(scores_of(labels, probed), labels, compare="quantization"),
    "depths": lambda labels, probed: plot_depths(depths_of(labels, probed), labels),
    "drift": lambda labels, probed: plot_drift(drift_of(labels, probed), labels),
    "answers": lambda labels, probed: plot_answers(answers_of(labels), scores_of(labels, probed), labels),
    "transfer": lambda labels, probed: plot_transfer(transfer_of(labels, probed), depths_of(labels, probed), labels),
    "lens": lambda labels, probed: plot_lens(lens_of(labels), scores_of(labels, probed), labels),
    "causal": lambda labels, probed: plot_causal(causal_of(labels), scores_of(labels), lens_of(labels), labels),
    "positions": lambda labels, probed: plot_positions(depths_of(labels, probed), labels),
    "ablation": lambda labels, probed: plot_ablation(ablation_of(labels, probed), labels),
}
