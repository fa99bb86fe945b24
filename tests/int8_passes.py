"""What the tokens of a pass do to LLM.int8(), and what they cost on a processor.

    PYTHONPATH=workflow_scripts python tests/int8_passes.py [--passes 1 64 256 1024 4096 16384] [--statements 400]

prints the table of docs/drift.md: the embedded model on the clean texts of the default run, in passes of each size (1:
one whole prompt, as the released code runs them), against float32 and against the default's passes. Needs `make run`.
"""

import argparse
import logging
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.layouts import EqualLengths
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.depth.drift import relative_change
from conceptdepth.models.loading import load_model, load_tokenizer
from conceptdepth.models.sites import decoder_of
from conceptdepth.models.tokens import tokenize
from conceptdepth.probes.estimators import ProbeSettings
from conceptdepth.probes.splits import splits_of
from conceptdepth.probes.tasks import tasks_of
from conceptdepth.probes.training import train_layer
from whole_configuration import configuration

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "results/models/smollm2-135m/weights"
OUT = ROOT / "results/bench/int8_passes"
DATASETS = ("cities", "movie_snippets")
EXACT = "fp32"

HEADER = (
    "| dataset | passes of | change from float32 | change from passes of {default} | largest layer | accuracy, mean of layers | "
    "another accuracy than passes of {default} | s | peak MB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main() -> None:
    """Measure each size in a process of its own, whose peak of memory is its own, and print the table."""
    config = configuration()
    default = config["activations"]["fixed_batch_tokens"]["int8"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, nargs="+", default=[1, 64, 256, 1024, 4096, 16384])
    parser.add_argument("--statements", type=int, default=400)
    parser.add_argument("--measure", nargs=2, metavar=("DATASET", "PASS"), help="measure one, as main does")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure, arguments.statements)
        return
    OUT.mkdir(parents=True, exist_ok=True)
    print(HEADER.format(default=default))
    for dataset in DATASETS:
        for size in (EXACT, *dict.fromkeys((default, *arguments.passes))):
            command = [sys.executable, __file__, "--statements", str(arguments.statements), "--measure"]
            subprocess.run([*command, dataset, str(size)], check=True)
        exact, usual = (vectors_of(dataset, size) for size in (EXACT, default))
        right = accuracies(dataset, usual, config)
        for size in arguments.passes:
            found, (seconds, peak) = vectors_of(dataset, size), np.loadtxt(OUT / f"{dataset}.{size}.txt")
            layers = [relative_change(one, other) for one, other in zip(usual, found)]
            own = accuracies(dataset, found, config)
            print(
                f"| {dataset} | {size} | {np.mean([*map(relative_change, exact, found)]):.3f} | {np.mean(layers):.3f} | "
                f"{max(layers):.3f} | {own.mean():.3f} | {(own != right).sum()} of {len(own)} layers, mean "
                f"{np.abs(own - right).mean():.3f} | {seconds:.1f} | {peak:.0f} |",
                flush=True,
            )


def measure(dataset: str, size: str, statements: int) -> None:
    """Write the vectors of a dataset in passes of a size, and what that took."""
    torch.set_num_threads(1)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    quantization, capacity = ("fp32", 512) if size == EXACT else ("int8", int(size))
    model = load_model(WEIGHTS, quantization=quantization, device=torch.device("cpu"))
    body = decoder_of(model, "smollm2-135m")
    tokens = tokenize(load_tokenizer(WEIGHTS), [row["prompt"] for row in rows_of(dataset)[:statements]])
    n_layers, d_model = shape(body, "smollm2-135m")
    vectors = np.empty((n_layers, len(tokens), d_model), np.float32)
    layout = EqualLengths() if capacity == 1 else None
    started = time.perf_counter()
    extract(body, tokens, into={"mlp_input": vectors}, batch_tokens=capacity, layout=layout, name="smollm2-135m")
    seconds = time.perf_counter() - started
    np.save(OUT / f"{dataset}.{size}.npy", vectors)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.savetxt(OUT / f"{dataset}.{size}.txt", [seconds, peak])


def rows_of(dataset: str) -> list[dict]:
    """Return the prompts of a dataset of the default run, clean."""
    return read_prompts(ROOT / f"results/prompts/{dataset}.clean.jsonl")


def vectors_of(dataset: str, size: int | str) -> np.ndarray:
    """Return the vectors that `measure` wrote, (n_layers, n_prompts, d_model)."""
    return np.load(OUT / f"{dataset}.{size}.npy")


def accuracies(dataset: str, vectors: np.ndarray, config: dict) -> np.ndarray:
    """Return the accuracy of each layer's probe, mean of the splits, under the default settings."""
    rows, settings = rows_of(dataset)[: vectors.shape[1]], ProbeSettings(**config["probes"])
    labels = np.array([row["label"] for row in rows], dtype=np.int8)
    groups = np.array([row["group"] for row in rows], dtype=object)
    tasks = list(tasks_of(labels, groups, splits_of(labels, groups, settings), controls=[], choose=False))
    trained = [train_layer(layer, tasks, settings) for layer in vectors]
    return np.array([np.mean([probe.scores["accuracy"] for probe in probes]) for probes in trained])


if __name__ == "__main__":
    main()
