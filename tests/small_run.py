"""A folder of results as a run leaves it, made by the scripts of the stages in seconds, without Snakemake and a model."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from conceptdepth.activations.store import new_activations
from conceptdepth.configuration.schema import filled, on_top_of_files
from conceptdepth.depth.cells import depth_table, estimate_all
from conceptdepth.depth.resampling import IntervalSettings
from conceptdepth.ground.jsonl import write_jsonl
from conceptdepth.probes.estimators import ProbeSettings
from conceptdepth.provenance.record import JobRecord
from estimate_depth import layer_table
from train_probes import train_probes

MODEL, QUANTIZATIONS, DATASETS, PERTURBATIONS = "smollm2-135m", ("fp32", "int8"), ("cities", "NA"), ("clean",)
LAYERS, WIDTH, GROUPS = 5, 8, 30
KNOWN_FROM = 3
"""The layer from which on `cities` can be told; nothing can be told of the other dataset."""


def make_small_run(folder: Path) -> Path:
    """Make the folder ``results`` in a folder, and return it. Its probes have the settings of the default run."""
    results = folder / "results"
    config = filled(on_top_of_files({}))
    config["controls"]["targets"] = ["control_task"]
    cells = [(q, d, p) for q in QUANTIZATIONS for d in DATASETS for p in PERTURBATIONS]
    for dataset in DATASETS:
        rows = [
            {"id": f"{dataset}-{n}", "text": f"Text {n}.", "label": n % 2, "group": f"g{n // 2}"}
            for n in range(2 * GROUPS)
        ]
        write_jsonl(results / f"datasets/{dataset}.jsonl", rows)
        for perturbation in PERTURBATIONS:
            prompts = [{**row, "prompt": f"clean: {row['text']}", "text_at": [7, 7 + len(row["text"])]} for row in rows]
            write_jsonl(results / f"prompts/{dataset}.{perturbation}.jsonl", prompts)
    for number, (quantization, dataset, perturbation) in enumerate(cells):
        name = f"{MODEL}/{quantization}/{dataset}.{perturbation}"
        write_vectors(results / f"activations/{name}.h5", dataset, seed=number)
        (results / f"probes/{MODEL}/{quantization}").mkdir(parents=True, exist_ok=True)
        train_probes(
            str(results / f"activations/{name}.h5"),
            cell={"model": MODEL, "quantization": quantization, "dataset": dataset, "perturbation": perturbation},
            settings=ProbeSettings(**config["probes"]), controls=config["controls"], threads=1,
            scores=str(results / f"probes/{name}.csv"), probes=str(results / f"probes/{name}.h5"), record="0" * 64,
        )  # fmt: skip
    probes = [results / f"probes/{MODEL}/{q}/{d}.{p}" for q, d, p in cells]
    write_tables(results, probes, config)
    (results / "figures").mkdir()
    for name in ("depths", "accuracy"):
        (results / f"figures/{name}.png").write_bytes(b"\x89PNG")
    with contextlib.chdir(folder):
        table = "results/tables/concept_depth.csv"
        job = {"rule": "estimate_depth", "script": "estimate_depth.py", "wildcards": {}, "params": {}, "software": {}}
        JobRecord(**job, inputs=[]).write([table], "results/provenance/estimate_depth.json")
    return results


def write_vectors(path: Path, dataset: str, *, seed: int) -> None:
    """Write the activation file of a cell; one feature tells the label from a layer on."""
    draw = np.random.default_rng(seed)
    prompts = [{"id": f"{dataset}-{n}", "label": n % 2, "group": f"g{n // 2}"} for n in range(2 * GROUPS)]
    shape = {
        "n_layers": LAYERS,
        "d_model": WIDTH,
        "prompts": prompts,
        "n_tokens": [5 + n % 3 for n in range(len(prompts))],
    }
    with new_activations(path, sites=["mlp_input", "residual"], **shape) as file:
        for name, region in file.into.items():
            for layer in range(1 if name.startswith("embedding") else LAYERS):
                values = draw.normal(size=(len(prompts), WIDTH)).astype("f4")
                if dataset == "cities" and layer >= KNOWN_FROM:
                    values[:, 0] += 3 * np.array([row["label"] for row in prompts])
                region[layer, np.arange(len(prompts))] = values
        file.attrs.update({"model": MODEL, "weights": "fp32", "sites": json.dumps({"mlp_input": "", "residual": ""})})


def write_tables(results: Path, probes: list[Path], config: dict) -> None:
    """Write the tables of scores and of depths as their stages do, with few draws."""
    settings = IntervalSettings(**config["intervals"] | {"draws": 50, "permutations": 50})
    estimates = estimate_all([f"{path}.h5" for path in probes], [], depth=config["depth"], settings=settings)
    (results / "tables").mkdir()
    (results / "tables/configuration.yaml").write_text(yaml.safe_dump(config))
    scores = pd.concat([pd.read_csv(f"{path}.csv", dtype=str, keep_default_na=False) for path in probes])
    scores.to_csv(results / "tables/layer_scores.csv", index=False)
    tables = {"concept_depth": depth_table(estimates, settings), "layer_intervals": layer_table(estimates)}
    for name, table in tables.items():
        table.to_csv(results / f"tables/{name}.csv", index=False, na_rep="NaN")
