"""Where the time of a cell goes: writing, probes, and int8 on a processor. Needs the results of `make run`.

    PYTHONPATH=workflow_scripts python tests/benchmarks/profiles.py

The shares in docs/speed.md are those that it prints.
"""

import cProfile
import pstats
import tempfile
import time
from pathlib import Path

import torch
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.store import new_activations
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.models.loading import load_model, load_tokenizer
from conceptdepth.models.tokens import tokenize
from conceptdepth.probes.estimators import ProbeSettings
from torch.profiler import profile
from train_probes import train_probes

RESULTS = Path(__file__).parents[2] / "results"
WEIGHTS = RESULTS / "models/smollm2-135m/weights"
PROMPTS = RESULTS / "prompts/cities.clean.jsonl"
CPU = torch.device("cpu")


class Timed:
    """A destination that counts the processor time of the threads that write."""

    def __init__(self, destination) -> None:
        self.destination, self.seconds = destination, list[float]()

    def __setitem__(self, where, values) -> None:
        started = time.thread_time()
        self.destination[where] = values
        self.seconds.append(time.thread_time() - started)


NO_CONTROLS = {"targets": [], "embedding_layer": False}


def writing(folder: Path) -> str:
    """Extract Cities in float32 and return the shares of writing, and of flushing and checking the file."""
    body, rows = load_model(WEIGHTS, quantization="fp32", device=CPU).base_model, read_prompts(PROMPTS)
    tokens = tokenize(load_tokenizer(WEIGHTS), [row["prompt"] for row in rows])
    n_layers, d_model = shape(body, "smollm2-135m")
    size = {"n_layers": n_layers, "d_model": d_model, "prompts": rows, "n_tokens": list(map(len, tokens))}
    started = time.process_time()
    with new_activations(folder / "cities.h5", sites=["mlp_input"], **size) as file:
        file.attrs["weights"] = "fp32"
        into = {site: Timed(region) for site, region in file.into.items()}
        extract(body, tokens, into=into, batch_tokens=1024, name="smollm2-135m")
        extracted = time.process_time()
    seconds = time.process_time() - started
    closing = time.process_time() - extracted
    written = sum(sum(timed.seconds) for timed in into.values())
    return f"writing {written / seconds:.1%}, closing and checking {closing / seconds:.1%} of {seconds:.1f} s"


def probes(folder: Path) -> str:
    """Train the probes of a cell under a profiler and return the shares of fits, scores and reading."""
    settings = ProbeSettings(split="grouped", test_share=0.4, seeds=[42, 43, 44], C=1.0, max_iter=100)
    outputs = {"scores": str(folder / "scores.csv"), "probes": str(folder / "probes.h5")}
    profiler = cProfile.Profile(time.process_time)
    profiler.runcall(
        train_probes,
        str(folder / "cities.h5"),
        cell={},
        settings=settings,
        controls=NO_CONTROLS,
        threads=1,
        record="",
        **outputs,
    )
    times = pstats.Stats(profiler).stats

    def seconds(file: str, *functions: str) -> float:
        return sum(row[3] for (path, _, name), row in times.items() if path.endswith(file) and name in functions)

    total = seconds("train_probes.py", "train_probes")
    fits = seconds("linear_model/_logistic.py", "fit")
    scores = seconds("metrics/_classification.py", "accuracy_score", "f1_score")
    scores += seconds("metrics/_ranking.py", "roc_auc_score")
    reading = seconds("h5py/_hl/dataset.py", "__getitem__")
    return f"fits {fits / total:.0%}, scores {scores / total:.0%}, reading {reading / total:.1%} of {total:.1f} s"


def int8() -> str:
    """Extract the first cities in int8 and return the operations that take most of the time."""
    body = load_model(WEIGHTS, quantization="int8", device=CPU).base_model
    tokens = tokenize(load_tokenizer(WEIGHTS), [row["prompt"] for row in read_prompts(PROMPTS)[:200]])
    into = {"mlp_input": torch.empty((*shape(body, "smollm2-135m")[:1], len(tokens), 576)).numpy()}
    with profile() as profiler:
        extract(body, tokens, into=into, batch_tokens=4096, name="smollm2-135m")
    rows = sorted(profiler.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    return ", ".join(f"{row.key} {row.self_cpu_time_total / total:.0%}" for row in rows[:6])


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        print("extraction:", writing(Path(name)))
        print("probes, under a profiler that slows small functions:", probes(Path(name)))
    print("int8, by operation:", int8())
