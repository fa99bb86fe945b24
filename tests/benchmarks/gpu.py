"""Compare extraction with other tools at the shapes of two models, on a GPU if there is one: `make bench-gpu`.

    PYTHONPATH=workflow_scripts python tests/benchmarks/gpu.py [--only llama-2-7b bf16 ours] [--size 0.2] ...
    PYTHONPATH=workflow_scripts python tests/benchmarks/gpu.py --write-prompts

Weights are random (gpu_models.py), prompts are token ids of three workloads (gpu_prompts.py), tools are in gpu_tools.py.
The second command writes the prompts' file and ends; the first one does so, too, if there is none. Each tool runs one
warm-up round, whose seconds are told apart as `first`, and then `--rounds` others, of which the best counts. Every
row is written to OUT/rows.csv and OUT/table.md as soon as it is measured.
"""

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_models import FORMATS, SHAPES, gemm, linear_layers, quantize, random_model, to_bfloat16
from gpu_prompts import WORKLOADS, made_up_prompts, read_prompts, write_prompts
from gpu_table import Table
from gpu_tools import TOOLS, Done, Job, Vectors, loop

ROOT = Path(__file__).parents[2]
OUT = ROOT / "results/bench/gpu"

SAMPLE = 24
"""Prompts that the loop runs, and whose vectors are compared with those in float32."""

SHARES = {("llama-2-7b", "fp32"): 0.1, ("llama-2-7b", "int8"): 0.25}
"""Share of the prompts of what would take too long."""

STARTED = time.perf_counter()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("highest")  # No TF32.
    if options.write_prompts or not (options.miniature or options.prompts.exists()):
        write_prompts(options.prompts, options.tokenizer, options.sources)
    if options.write_prompts:
        return 0
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(auto if options.device == "auto" else options.device)
    workloads = made_up_prompts() if options.miniature else read_prompts(options.prompts, options.size)
    speeds = {dtype: gemm(dtype, device) for dtype in (torch.bfloat16, torch.float32)}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{options.threads} threads of a processor"
    say(f"{name}, PyTorch {torch.__version__}: {told(speeds)}")
    table = Table(options.out, f"{name}; {told(speeds)}; best of {options.rounds} rounds.")
    shapes = ["miniature"] if options.miniature else [shape for shape in SHAPES if shape != "miniature"]
    for shape in chosen("shape", shapes, options.only):
        measure_shape(shape, workloads, device, speeds, table, options)
    print(table.text())
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*SHAPES, *FORMATS, *WORKLOADS, *TOOLS]
    parser.add_argument("--only", nargs="+", default=[], choices=names, help="shapes, formats, workloads and tools")
    parser.add_argument("--size", type=float, default=1.0, help="share of the prompts")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--int8-tokens", type=int, nargs="+", default=[256, 4096, 16384], help="tokens of its passes")
    parser.add_argument("--miniature", action="store_true", help="a tiny model and prompts that are made up")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--scratch", type=Path, default=memory(), help="folder for activation files")
    parser.add_argument("--write-prompts", action="store_true", help="write the prompts' file and end")
    parser.add_argument("--prompts", type=Path, default=OUT / "prompts.json")
    parser.add_argument("--tokenizer", type=Path, default=ROOT / "results/models/smollm2-135m/weights")
    parser.add_argument("--sources", type=Path, default=ROOT.parent / "shared/sources")
    return parser.parse_args(arguments)


def memory() -> Path | None:
    """Return a folder in memory with room for activation files; None: where temporary files lie."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > 8 * 2**30 else None


def chosen(kind: str, names: Sequence[str], only: Sequence[str]) -> list[str]:
    """Return the names of a kind that `--only` asks for: all, if it names none of that kind."""
    known = {"shape": SHAPES, "format": FORMATS, "workload": WORKLOADS, "tool": TOOLS}[kind]
    asked = set(only) & set(known)
    return [name for name in names if not asked or name in asked]


def measure_shape(
    shape: str,
    workloads: dict[str, list[list[int]]],
    device: torch.device,
    speeds: dict[torch.dtype, float],
    table: "Table",
    options: argparse.Namespace,
) -> None:
    """Measure all formats of a shape, with one model that is made narrower step by step."""
    formats = [name for name in chosen("format", FORMATS, options.only) if can_run(name, shape)]
    model = random_model(shape, device)
    linear = linear_layers(model)
    weights = sum(layer.weight.numel() for layer in linear.values())
    say(f"{shape}: made, {weights / 1e9:.3f} billion weights in the blocks")
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        jobs = {}
        for format_, workload in itertools.product(formats, chosen("workload", list(workloads), options.only)):
            jobs[format_, workload] = job_of(workloads[workload], SHARES.get((shape, format_), 1.0), Path(folder))
        exact: dict[tuple[str, int], Vectors] = {}
        for (_, workload), job in jobs.items():
            if (workload, len(job.tokens)) not in exact:
                exact[workload, len(job.tokens)] = loop(model, job).vectors
        say(f"{shape}: vectors in float32 for comparison")
        for format_ in formats:
            if format_ != "fp32" and model.dtype != torch.bfloat16:
                to_bfloat16(model)
            if format_ in ("int8", "nf4"):
                quantize(model, linear, format_)
            torch.cuda.empty_cache()  # Of the format before.
            say(f"{shape}: is {format_}")
            speed = speeds[torch.float32 if format_ == "fp32" else torch.bfloat16]
            for workload in [name for key, name in jobs if key == format_]:
                job = jobs[format_, workload]
                for tool, variant in variants(format_, job, options):
                    names = {"shape": shape, "format": format_, "workload": workload, "tool": tool}
                    measured = attempt(names, model, variant, exact[workload, len(job.tokens)], options.rounds)
                    if measured is not None:
                        flop = 2 * weights * measured["computed"]
                        table.add({**names, **measured, "of_gemm": flop / measured["seconds"] / speed})


def can_run(format_: str, shape: str) -> bool:
    """Tell whether a format is measured at a shape: quantized ones where they matter, and bitsandbytes is there."""
    return format_ in ("fp32", "bf16") or (shape != "smollm2-135m" and find_spec("bitsandbytes") is not None)


def job_of(tokens: list[list[int]], share: float, folder: Path) -> Job:
    """Return the job of a share of the prompts."""
    some = tokens[: max(1, round(share * len(tokens)))]
    sample = np.linspace(0, len(some) - 1, min(SAMPLE, len(some))).round().astype(np.int64)
    return Job(some, sample, folder)


def variants(format_: str, job: Job, options: argparse.Namespace) -> Iterator[tuple[str, Job]]:
    """Yield tools and their jobs: int8 with passes of several sizes, vLLM where it is and with its own formats."""
    for tool in chosen("tool", list(TOOLS), options.only):
        if tool == "vllm" and (find_spec("vllm") is None or format_ not in ("fp32", "bf16")):
            continue
        if tool == "ours_compiled" and (format_ != "bf16" or not torch.cuda.is_available()):
            continue  # What `auto` never compiles.
        sizes = options.int8_tokens if tool == "ours" and format_ == "int8" else [None]
        yield from ((tool, replace(job, pass_tokens=size)) for size in sizes)


def attempt(names: dict[str, str], model, job: Job, exact: Vectors, rounds: int) -> dict[str, Any] | None:
    """Return what a tool took, None if it failed: the others are still to be measured."""
    try:
        done, first, peak = timed(names["tool"], model, job, rounds)
    except Exception as error:
        traceback.print_exc()
        say(f"{' '.join(names.values())} FAILED: {type(error).__name__}: {error}")
        return None
    scale = len(job.tokens) / done.prompts
    seconds = done.seconds * scale
    errors = np.linalg.norm(done.vectors - exact, axis=-1) / np.linalg.norm(exact, axis=-1)
    n_layers, _, d_model = exact.shape
    row = {
        "pass_tokens": job.pass_tokens or "",
        "prompts": f"{done.prompts} of {len(job.tokens)}" if scale > 1 else len(job.tokens),
        "seconds": seconds,
        "first": first * scale,
        "prompts_per_second": len(job.tokens) / seconds,
        "computed": round(done.computed * scale),
        "padded": round(done.padded * scale),
        "mb_per_second": 4e-6 * (n_layers + 1) * len(job.tokens) * d_model / seconds,
        "peak_gb": peak,
        "error": float(np.median(errors)),
        "worst_layer": float(np.median(errors, axis=1).max()),
    }
    say(f"{' '.join(names.values())} {row['pass_tokens']}: {seconds:.2f} s, first {row['first']:.2f} s")
    return row


def timed(tool: str, model, job: Job, rounds: int) -> tuple[Done, float, float | str]:
    """Return the best round, the seconds of the one before all, and the GPU's memory at most in GB.

    Memory is that of the weights that the model has now and of what the tool took beside them.
    """
    first = TOOLS[tool](model, job).seconds
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    best = min((TOOLS[tool](model, job) for _ in range(rounds)), key=lambda done: done.seconds)
    if not on_gpu:
        return best, first, ""
    weights = sum(weights.numel() * weights.element_size() for weights in model.parameters())
    return best, first, (weights + torch.cuda.max_memory_allocated() - before) / 1e9


def told(speeds: dict[torch.dtype, float]) -> str:
    """Return the speeds of plain products in words."""
    return ", ".join(
        f"{str(dtype).removeprefix('torch.')} {speed / 1e12:.2f} TFLOP/s" for dtype, speed in speeds.items()
    )


def say(text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"{time.perf_counter() - STARTED:7.1f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
