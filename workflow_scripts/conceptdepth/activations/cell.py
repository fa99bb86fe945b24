"""One cell of the grid: a model, in one weight format, on one prompt file."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from conceptdepth.activations.store import destinations, new_activations
from conceptdepth.ground.jsonl import read_jsonl
from conceptdepth.models.loaded import LoadedModels, ModelRequest
from conceptdepth.models.loading import device_name, tokens_of_a_pass
from conceptdepth.provenance.environment import begin_peak_memory, linear_algebra, peak_memory_mb
from conceptdepth.provenance.record import PREFIX

log = logging.getLogger(__name__)

LIBRARIES = ("torch", "transformers", "tokenizers", "bitsandbytes", "accelerate", "numpy", "h5py")
"""Libraries whose versions an activation file records."""


@dataclass(frozen=True, kw_only=True)
class Cell(ModelRequest):
    """What is extracted, and how."""

    prompts: str
    """Path of the prompts, JSON Lines."""
    sites: list[str]
    """Sites, of `conceptdepth.models.sites.SITES`."""
    batch_tokens: int | None
    """Most tokens of one forward pass; None finds out what fits."""
    fixed_batch_tokens: bool
    """Whether results depend on the tokens of a pass."""
    threads: int
    """Threads on the CPU."""
    destination: str
    """Path of the activation file."""
    record: str
    """Id of the job's record."""


def extract_cell(cell: Cell, models: LoadedModels, wanted: Callable[[], bool] = lambda: True) -> dict[str, Any]:
    """Extract one cell, write its activation file and return facts about the process for its record.

    Raises `NotWanted` before a pass if ``wanted`` says no.
    """
    import torch

    from conceptdepth.activations.collector import site_modules
    from conceptdepth.activations.extraction import extract, shape

    torch.set_num_threads(cell.threads)  # Of this thread alone.
    begin_peak_memory()
    started = time.perf_counter()
    rows = read_jsonl(cell.prompts)
    with models.use(cell) as model:
        load_seconds = time.perf_counter() - started
        tokens = model.tokenize([row["prompt"] for row in rows])
        n_tokens = [len(prompt) for prompt in tokens]
        n_layers, d_model = shape(model.body, cell.name)
        ready = time.perf_counter()
        with (
            model.forward() as body,
            new_activations(
                cell.destination, sites=cell.sites, n_layers=n_layers, d_model=d_model, prompts=rows, n_tokens=n_tokens
            ) as file,
        ):
            work = extract(
                body,
                tokens,
                into=destinations(file),
                batch_tokens=cell.batch_tokens or tokens_of_a_pass(body),
                fixed=cell.fixed_batch_tokens,
                name=cell.name,
                wanted=wanted,
            )
            seconds = time.perf_counter() - ready
            file.attrs.update({
                "record": PREFIX + cell.record,
                "model": cell.name,
                "model_source": json.dumps(json.loads(Path(cell.model).read_text("utf-8"))["source"]),
                "quantization": cell.quantization,
                "dtype": str(body.dtype).removeprefix("torch."),
                "sites": json.dumps(site_modules(body, cell.sites, cell.name)),
                "tokenizer": type(model.tokenizer).__name__,
                "device": str(body.device),
                "attention": body.config.get_text_config()._attn_implementation,
                "tokens_in_prompts": sum(n_tokens),
                **asdict(work),
                "versions": json.dumps({library: version(library) for library in LIBRARIES}),
            })  # fmt: skip
        device = device_name(body.device)
    log.info(
        "%d prompts: %d tokens, of which %d computed and %d padded, in %d passes of at most %d, in %.1f s",
        *(len(rows), sum(n_tokens), work.tokens_computed, work.tokens_padded, work.passes, work.batch_tokens, seconds),
    )
    return {
        "peak_memory_mb": peak_memory_mb(),
        "measured": {"seconds_load": round(load_seconds, 3), "seconds_forward": round(seconds, 3)},
        "environment": {"device": device, "blas": linear_algebra()},
    }
