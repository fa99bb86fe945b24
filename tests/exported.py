"""A folder of exported probes with made-up numbers, as `conceptdepth export` lays it out."""

import itertools
from pathlib import Path

import numpy as np
from conceptdepth.interface.cards import write_card
from conceptdepth.interface.folders import FORMAT, FORMAT_VERSION, PROBES
from safetensors.numpy import save_file

LAYERS, WIDTH, SEEDS = 3, 6, (1, 2)
CURVES = [
    ("mlp_input", "last", "logistic_regression", "concept"), ("mlp_input", "last", "logistic_regression", "shuffled_labels"),
    ("residual", "last", "mass_mean", "concept"), ("residual", "last", "mass_mean", "partial_out"),
]  # fmt: skip
ACCURACIES = {
    "accuracy": [0.5, 0.75, 0.7, 0.7], "low": [0.4, 0.6, 0.5, 0.5], "high": [0.6, 0.8, 0.8, 0.8],
    "1": [0.4, 0.7, 0.7, 0.7], "2": [0.6, 0.8, 0.7, 0.7],
}  # fmt: skip
"""Of the concept, by layer; by seed also of other targets."""
TEMPLATE = {"layout": "prompt_first", "prompt": "judge the statement"}


def write_folder(
    folder: Path, *, layers: int = LAYERS, width: int = WIDTH, curves=CURVES, model=None, rendering=None
) -> dict[str, np.ndarray]:
    """Write a folder and return its tensors. The concept is told best at layer 1, a control at layer 0."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    n = {curve: 1 if curve[0] == "embedding" else layers for curve in curves}
    shapes = {"directions": (width,), "intercepts": ()}
    tensors = {
        f"{'/'.join(curve)}/seed_{seed}/{name}": draw.normal(size=(n[curve], *shape))
        for curve, seed, (name, shape) in itertools.product(curves, SEEDS, shapes.items())
    }
    save_file(tensors, folder / PROBES)
    own = {"weights": "fp32", "fixed_batch_tokens": None, "files": {}, "n_layers": layers, "d_model": width}
    write_card(folder, {
        "format": FORMAT, "format_version": FORMAT_VERSION,
        "cell": {"model": "tiny", "quantization": "fp32", "dataset": "claims", "perturbation": "noise"},
        "model": own | (model or {}),
        "dataset": {"classes": ["true", "false"]},
        "rendering": {"template": TEMPLATE, "perturbation": {}, "chat": {}} | (rendering or {}),
        "curves": [{
            **dict(zip(("site", "position", "probe", "target"), curve)), "seeds": list(SEEDS),
            "peak_layer": min(1, n[curve] - 1),
            **{name: ACCURACIES[name][:n[curve]] if curve[-1] == "concept" else [None if name in ("low", "high") else 0.5] * n[curve]
               for name in ("accuracy", "low", "high")},
            "accuracy_by_seed": {seed: ACCURACIES[seed][:n[curve]] for seed in ("1", "2")},
        } for curve in curves],
        "origin": {"record": "f" * 64},
    })  # fmt: skip
    return tensors
