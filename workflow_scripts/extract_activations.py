"""Read the vectors at the last token of every prompt, in every layer of a model."""

import json
import os
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from conceptdepth.job import job, log
from conceptdepth.models import load_body, load_tokenizer, model_folder, resolve_device
from conceptdepth.records import read_jsonl
from conceptdepth.store import write_activations

LIBRARIES = ("torch", "transformers", "tokenizers", "bitsandbytes", "accelerate", "numpy", "h5py")
"""Libraries whose versions an activation file records."""


def extract_activations(
    *,
    model: str,
    name: str,
    quantization: str,
    prompts: str,
    sites: Sequence[str],
    batch_tokens: int,
    device: str,
    threads: int,
    destination: str,
    trust_remote_code: bool = False,
) -> None:
    """Extract one cell of the grid: a model, in one weight format, on one prompt file."""
    import torch
    from conceptdepth.extraction import extract, tokenize

    torch.set_num_threads(threads)
    rows = read_jsonl(prompts)
    started = time.perf_counter()
    folder = model_folder(model)
    tokenizer = load_tokenizer(folder, trust_remote_code=trust_remote_code)
    body = load_body(
        folder, quantization=quantization, device=resolve_device(device), trust_remote_code=trust_remote_code
    )
    loaded = time.perf_counter()
    log.info("loaded %s as %s on %s in %.1f s", name, quantization, body.device, loaded - started)
    result = extract(
        body, tokenize(tokenizer, [row["prompt"] for row in rows]), sites=sites, batch_tokens=batch_tokens, name=name
    )
    finished = time.perf_counter()
    log.info(
        "%d prompts of %d tokens, %d computed, in %.1f s",
        len(rows), sum(result.n_tokens), result.tokens_computed, finished - loaded,
    )  # fmt: skip
    attributes: dict[str, Any] = {
        "model": name,
        "model_source": json.dumps(json.loads(Path(model).read_text())["source"]),
        "quantization": quantization,
        "dtype": str(body.dtype).removeprefix("torch."),
        "sites": json.dumps(result.site_modules),
        "tokenizer": type(tokenizer).__name__,
        "device": str(body.device),
        "batch_tokens": batch_tokens,
        "tokens_in_prompts": sum(result.n_tokens),
        "tokens_computed": result.tokens_computed,
        "seconds_load": loaded - started,
        "seconds_forward": finished - loaded,
        "versions": json.dumps({library: version(library) for library in LIBRARIES}),
    }
    write_activations(
        destination, activations=result.activations, prompts=rows, n_tokens=result.n_tokens, attributes=attributes
    )


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    with job(snakemake):
        settings = dict(snakemake.params.settings)
        execution = snakemake.config["execution"]
        extract_activations(
            model=snakemake.input.model,
            name=snakemake.wildcards.model,
            quantization=snakemake.wildcards.quantization,
            prompts=snakemake.input.prompts,
            sites=settings["sites"],
            batch_tokens=settings.get("int8_batch_tokens", execution["batch_tokens"]),
            device=execution["device"],
            threads=snakemake.threads,
            destination=snakemake.output[0],
            **snakemake.params.model,
        )
