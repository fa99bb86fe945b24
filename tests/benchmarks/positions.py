"""What five positions at five sites cost, against one of each, on the embedded model. Needs the results of `make run`.

    PYTHONPATH=workflow_scripts python tests/benchmarks/positions.py [--rounds 5] [--statements 100] [--results results]

Rounds alternate. "Computing" is the extraction into memory that swallows the vectors: passes, sums and copies. "With the
file" also writes them. Seconds are those of the processor, all threads together, so that others on the machine count
little; "times" is the median of what each round says, with the least and the most. Memory is kept as a worker keeps it.
The table is in docs/positions.md.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.spots import spot
from conceptdepth.activations.store import new_activations
from conceptdepth.activations.worker import ALLOCATOR
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.names import EMBEDDING, LAST
from conceptdepth.models.loading import load_model, load_tokenizer
from conceptdepth.models.positions import Probed, probed
from conceptdepth.models.sites import SITES
from conceptdepth.models.tokens import tokenized

POSITIONS = [LAST, "text_mean", "prompt_mean", "span_last", "span_mean"]
"""Five that read other tokens each; in these prompts `text_last` is `last`."""

ONE = ["mlp_input"], [LAST]
DATASETS = ("cities", "coin_flips", "movie_snippets")


class Swallows:
    """A destination of vectors that are not wanted."""

    def __setitem__(self, where: Any, values: Any) -> None:
        """Take them."""


def computing(
    body: Any, tokens: Sequence[list[int]], read: Probed, sites: Sequence[str], positions: Sequence[str]
) -> float:
    """Return the seconds of an extraction into nowhere."""
    into = {spot(site, position): Swallows() for site in (*sites, EMBEDDING) for position in positions}
    started = time.process_time()
    extract(body, tokens, into=into, positions=of(read, positions), batch_tokens=1024, name="smollm2-135m")
    return time.process_time() - started


def with_the_file(
    body: Any, tokens: Sequence[list[int]], read: Probed, sites: Sequence[str], positions: Sequence[str], rows: Any
) -> tuple[float, int]:
    """Return the seconds of an extraction into a file, and the bytes of that."""
    n_layers, d_model = shape(body, "smollm2-135m")
    size = {"n_layers": n_layers, "d_model": d_model, "prompts": rows, "n_tokens": list(map(len, tokens))}
    places = {position: read.extents[position] for position in positions}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cell.h5"
        started = time.process_time()
        with new_activations(path, sites=sites, places=places, **size) as file:
            extract(body, tokens, into=file.into, positions=of(read, positions), batch_tokens=1024, name="smollm2-135m")
        return time.process_time() - started, path.stat().st_size


def of(read: Probed, positions: Sequence[str]) -> Mapping[str, list[np.ndarray]]:
    """Return the tokens of some positions."""
    return {position: read.tokens[position] for position in positions}


def measured(body: Any, tokenizer: Any, prompts: Path, rounds: int, statements: int) -> str:
    """Return a row of the table for a dataset."""
    rows = read_prompts(prompts)[:statements]
    each = tokenized(tokenizer, [row["prompt"] for row in rows])
    tokens, read = [prompt.ids for prompt in each], probed(POSITIONS, each, rows)
    all_of_it = list(SITES), POSITIONS
    seconds: dict[str, list[float]] = {name: [] for name in ("one", "all", "one, file", "all, file")}
    computing(body, tokens, read, *all_of_it)  # The first passes of a shape are slower.
    for _ in range(rounds):
        seconds["one"].append(computing(body, tokens, read, *ONE))
        seconds["all"].append(computing(body, tokens, read, *all_of_it))
        for name, chosen in (("one, file", ONE), ("all, file", all_of_it)):
            took, size = with_the_file(body, tokens, read, *chosen, rows)
            seconds[name].append(took)
    one, more, one_file, more_file = (median(each) for each in seconds.values())
    ratios = [b / a for a, b in zip(seconds["one"], seconds["all"])]
    return (
        f"| {prompts.name.split('.')[0]} | {len(rows)} | {one:.2f} | {more:.2f} | {median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}) | {one_file:.2f} | {more_file:.2f} | {size / 1e6:.0f} MB |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--statements", type=int, default=400, help="of each dataset, the first so many")
    parser.add_argument("--results", type=Path, default=Path(__file__).parents[2] / "results")
    arguments = parser.parse_args()
    if not ALLOCATOR.keys() <= os.environ.keys():  # Which is read when a process begins.
        os.execve(sys.executable, [sys.executable, *sys.argv], ALLOCATOR | os.environ)
    torch.set_num_threads(1)
    weights = arguments.results / "models/smollm2-135m/weights"
    body = load_model(weights, quantization="fp32", device=torch.device("cpu")).base_model
    tokenizer = load_tokenizer(weights)
    print("| dataset | statements | computing: one, s | all, s | times | with the file: one, s | all, s | file |")
    print("|---|---|---|---|---|---|---|---|")
    for name in DATASETS:
        print(
            measured(
                body,
                tokenizer,
                arguments.results / f"prompts/{name}.clean.jsonl",
                arguments.rounds,
                arguments.statements,
            )
        )
