"""Write an activation file pass by pass and read it layer by layer, in a process of its own, and tell seconds and memory.

python tests/load.py FILE N_STATEMENTS N_LAYERS D_MODEL PROMPTS_OF_A_PASS BYTES_ON_THEIR_WAY
"""

import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import torch
from conceptdepth.activations import leaving
from conceptdepth.activations.store import new_activations, open_activations
from conceptdepth.ground.names import EMBEDDING
from conceptdepth.provenance.environment import begin_peak_memory, peak_memory_mb

SITE = "residual"


def vectors(layer: int, statements: np.ndarray, n_statements: int, d_model: int) -> np.ndarray:
    """Return vectors of which no two are the same; they are exact in float32."""
    number = (layer * n_statements + statements).astype(np.float32)
    return number[:, None] + (np.arange(d_model, dtype=np.float32) % 32) / 32


def write(path: str, n_statements: int, n_layers: int, d_model: int, prompts_of_a_pass: int) -> None:
    """Let all layers of a pass leave, then those of the next; a pass has prompts from anywhere, as sorted ones are."""
    order = np.random.default_rng(0).permutation(n_statements)
    rows = [{"id": str(n), "label": n % 2, "group": str(n // 2)} for n in range(n_statements)]
    sizes = {"n_layers": n_layers, "d_model": d_model, "prompts": rows, "n_tokens": [20] * n_statements}
    with new_activations(path, sites=[SITE], **sizes) as file, leaving.Leaving(file.into, "load") as under_way:
        for first in range(0, n_statements, prompts_of_a_pass):
            prompts = np.sort(order[first : first + prompts_of_a_pass])
            for site, layers in ((EMBEDDING, 1), (SITE, n_layers)):
                for layer in range(layers):
                    values = torch.from_numpy(vectors(layer, prompts, n_statements, d_model))
                    under_way.take(f"{site}/last", layer, values, prompts)


def read(path: str, n_statements: int, n_layers: int, d_model: int) -> float:
    """Read each layer as the probes do, and return the seconds of that alone. Raises `ValueError` if a vector is another one."""
    seconds = 0.0
    with open_activations(path) as file:
        for layer in range(n_layers):
            started = time.perf_counter()
            found = file["activations"][SITE]["last"][layer]
            seconds += time.perf_counter() - started
            for some in np.array_split(np.arange(n_statements), 50):
                if not np.array_equal(found[some], vectors(layer, some, n_statements, d_model)):
                    raise ValueError(f"layer {layer} is not what was written")
    return seconds


@contextmanager
def memory(told: dict, name: str):
    """Tell by how many MB memory grew at most."""
    before = psutil.Process().memory_info().rss / 2**20
    begin_peak_memory()
    yield
    told[name] = round(peak_memory_mb() - before)


def onto_disk(path: str) -> None:
    """Let the file lie on the disk, and nowhere else."""
    number = os.open(path, os.O_RDONLY)
    os.fsync(number)
    os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(number)


def main(path: str, *numbers: str) -> None:
    n_statements, n_layers, d_model, prompts_of_a_pass, leaving.MOST_BYTES = map(int, numbers)
    told: dict[str, float] = {}
    with memory(told, "mb_write"):
        started = time.perf_counter()
        write(path, n_statements, n_layers, d_model, prompts_of_a_pass)
        told["seconds_write"] = round(time.perf_counter() - started, 1)
    onto_disk(path)
    told["seconds_on_disk"] = round(time.perf_counter() - started, 1)
    with memory(told, "mb_read"):
        told["seconds_read"] = round(read(path, n_statements, n_layers, d_model), 1)
    print(json.dumps(told | {"bytes": Path(path).stat().st_size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
