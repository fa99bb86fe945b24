"""Made-up tables of a finished run, in which no two numbers are alike, so that one from a wrong row or column shows."""

import itertools

import numpy as np
import pandas as pd
from conceptdepth.depth.comparison import PRIMARY
from conceptdepth.pages.names import Names

FORMATS = ("fp32", "int8", "random")
RENDERINGS = ("clean", "noise")
PROBED = (("mlp_input", "last", "logistic_regression"), ("residual", "prompt_mean", "mass_mean"))
LAYERS = (30, 18)
"""Of every other model."""

INTERVALS = ("mean_accuracy", "held_out_peak_accuracy", "held_out_peak_above_baseline", "gain_centre")


def names_of(n_models=1, n_datasets=3):
    return Names(
        {f"m{n}": f"Model {n}B" for n in range(n_models)}, {f"d{n}": f"Concept {n}" for n in range(n_datasets)}
    )


def config_of(names, **sections):
    return {
        "run": {
            "models": list(names.models), "quantizations": ["fp32", "int8"], "datasets": list(names.datasets), "perturbations": list(RENDERINGS),
        },
        "models": {name: {"label": label} for name, label in names.models.items()},
        "datasets": {name: {"label": label, "domain": "factual", "source": {"path": "x.csv"}} for name, label in names.datasets.items()},
        "activations": {"sites": ["mlp_input", "residual"], "positions": ["last", "prompt_mean"]},
        "probes": {"kinds": ["logistic_regression"], "seeds": [1, 2], "split": "grouped"},
        "intervals": {"level": 0.95},
    } | sections  # fmt: skip


def cells_of(names):
    """Yield the names of every curve, in the order of a run."""
    for model, quantization, dataset, perturbation, probed in itertools.product(
        names.models, FORMATS, names.datasets, RENDERINGS, PROBED
    ):
        yield {
            "model": model, "quantization": quantization, "dataset": dataset, "perturbation": perturbation,
            **dict(zip(("site", "position", "probe"), probed)),
        }  # fmt: skip


def depths_of(names, *, above=lambda number: number % 3 != 1, draws=True, seed=0):
    """Return ``concept_depth.csv``; ``above`` says of the number of a dataset whether it is above its baselines."""
    draw, rows = np.random.default_rng(seed), []
    for cell in cells_of(names):
        d = LAYERS[int(cell["model"][1:]) % 2]
        is_above = above(int(cell["dataset"][1:])) if draws else np.nan
        row = cell | {
            "n_layers": d, "n_seeds": 2, "n_test": 160, "converged": 1.0, "mostly_converged": True,
            "band_noise_anywhere": draw.uniform() if draws else np.nan, "baseline": "text_length" if draws else np.nan,
            "baseline_accuracy": draw.uniform() if draws else np.nan, "above_baselines": is_above,
            "first_above_baseline": draw.integers(d) / d if is_above is True else np.nan,
        }  # fmt: skip
        for quantity in ("jump_point", "converging_point", "converging_point_published", "peak_accuracy", "peak_depth"):
            row[quantity] = draw.uniform()
        for quantity in INTERVALS:
            low, value, high = sorted(draw.uniform(-1 if quantity.endswith("baseline") else 0, 1, 3))
            row |= {quantity: value, f"{quantity}_low": low, f"{quantity}_high": high}
            if not draws or (quantity == "gain_centre" and not is_above):
                row |= {f"{quantity}_low": np.nan, f"{quantity}_high": np.nan}
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.assign(above_baselines=table["above_baselines"].astype(object if draws else float))


def differences_of(names, *, p=lambda number: 0.9, draws=True, seed=1):
    """Return ``depth_differences.csv``; ``p`` is of the number of a dataset, for every quantity that is tested."""
    draw, rows = np.random.default_rng(seed), []
    for cell in cells_of(names):
        for compared, first in (("perturbation", "clean"), ("quantization", "fp32")):
            if cell[compared] == first:
                continue
            for quantity in (*PRIMARY, "converging_point"):
                low, value, high = sorted(draw.uniform(-1, 1, 3))
                tested = draws and quantity in PRIMARY
                rows.append(cell | {
                    "compared": compared, "first": first, "second": cell[compared], "quantity": quantity, "difference": value,
                    "low": low if tested else np.nan, "high": high if tested else np.nan,
                    "p_adjusted": p(int(cell["dataset"][1:])) if tested else np.nan,
                })  # fmt: skip
    return pd.DataFrame(rows)


def claims_of(verdicts, seed=2):
    """Return ``claims.csv``: of each source and verdict one row; an undecided one may say why: none, few, alike, open."""
    draw, rows = np.random.default_rng(seed), []
    for number, (source, verdict) in enumerate(verdicts):
        low, value, high = sorted(draw.uniform(-1, 1, 3))
        tested = verdict in ("supported", "contradicted", "open")
        rows.append({
            "source": source, "claim": f"c{number}", "statement": f"Claim {number} holds.", "quantity": "gain_centre",
            "n_datasets": 0 if verdict == "none" else 7 + number, "n_models": 3 + number, "effect": value,
            "error": 0.1 if tested or verdict == "alike" else np.nan, "low": low, "high": high,
            "p_adjusted": 0.01 if tested else np.nan,
            "verdict": verdict if verdict in ("supported", "contradicted") else "undecided",
        })  # fmt: skip
    return pd.DataFrame(rows)
