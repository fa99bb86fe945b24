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
TEMPLATE = {"layout": "prompt_first", "prompt": "judge the statement"}


def write_folder(
    folder: Path, *, width: int = WIDTH, curves=CURVES, model=None, rendering=None
) -> dict[str, np.ndarray]:
    """Write a folder and return its tensors. The concept is told best at layer 1, a control at layer 0."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    shapes = {"directions": (LAYERS, width), "intercepts": (LAYERS,)}
    tensors = {
        f"{'/'.join(curve)}/seed_{seed}/{name}": draw.normal(size=shape)
        for curve, seed, (name, shape) in itertools.product(curves, SEEDS, shapes.items())
    }
    save_file(tensors, folder / PROBES)
    own = {"weights": "fp32", "fixed_batch_tokens": None, "files": {}, "n_layers": LAYERS, "d_model": width}
    write_card(folder, {
        "format": FORMAT, "format_version": FORMAT_VERSION,
        "cell": {"model": "tiny", "quantization": "fp32", "dataset": "claims", "perturbation": "noise"},
        "model": own | (model or {}),
        "dataset": {"classes": ["true", "false"]},
        "rendering": {"template": TEMPLATE, "perturbation": {}, "chat": {}} | (rendering or {}),
        "curves": [{
            **dict(zip(("site", "position", "probe", "target"), curve)), "seeds": list(SEEDS), "peak_layer": 1,
            "accuracy": [0.5, 0.75, 0.7] if curve[-1] == "concept" else [0.6, 0.5, 0.5],
            **({"low": [0.4, 0.6, 0.5], "high": [0.6, 0.8, 0.8]} if curve[-1] == "concept" else {"low": [None] * 3, "high": [None] * 3}),
        } for curve in curves],
        "origin": {"record": "f" * 64},
    })  # fmt: skip
    return tensors
