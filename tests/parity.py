"""How far this workflow's results are from the released code's, on the embedded model.

    PYTHONPATH=workflow_scripts python tests/parity.py [--first 24] [--formats fp32 int8 int8_no_outliers]

prints the table of docs/parity.md: the same prompts through the same weights, one by one as in the released code
(`released_code`) and in this workflow's passes, under config/paper.yaml. Needs the model of `make run` and the paper's
source files in a folder (``--sources``).
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import released_code
import torch
from conceptdepth.activations.extraction import extract, shape
from conceptdepth.activations.layouts import EqualLengths
from conceptdepth.datasets.prompts import instructed, render
from conceptdepth.datasets.sources import file_name
from conceptdepth.datasets.statements import load_statements
from conceptdepth.models.loading import load_tokenizer
from conceptdepth.models.tokens import tokenize
from conceptdepth.probes.estimators import ProbeSettings
from conceptdepth.probes.splits import splits_of
from conceptdepth.probes.tasks import tasks_of
from conceptdepth.probes.training import train_layer
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
from whole_configuration import configuration

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "results/models/smollm2-135m/weights"
SOURCES = ROOT / "../shared/sources"

DATASETS = ("geometry_cities", "stsa", "strategyqa", "coinflip")
"""Those that are compared with a model: all three layouts, with and without a cue."""

FREE_BATCH_TOKENS = 1024
"""Tokens of a pass where results do not depend on it: what ``execution.batch_tokens: auto`` is on a processor."""

Config = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]
Result = tuple[np.ndarray, pd.DataFrame]
"""Vectors, shape (n_layers, n_prompts, d_model), and scores of each layer."""


# --- The workflow's own path, from the registry to scores ---------------------------------------------------


def paper_configuration() -> Config:
    """Return the configuration of ``--configfile config/paper.yaml``, defaults included."""
    config: Config = configuration("paper")
    # The hub has IMDb as Parquet; in the folder of sources its rows are JSON Lines.
    rows = {"source": {"path": "imdb_test_first1000_per_class.jsonl"}, "table": {"format": "jsonl"}}
    config["datasets"]["imdb"] |= rows
    return config


def prompt_rows(config: Config, name: str, sources: Path, first: int | None = None) -> Rows:
    """Return the prompts of a dataset on clean texts, of the ``first`` statements of each class."""
    entry = config["datasets"][name]
    if first is not None:
        entry = entry | {"max_per_class": first}
    statements = load_statements(name, entry, sources / file_name(entry["source"]))
    template = instructed(entry["template"], config["prompts"]["instruction"])
    return [render(statement, template, config["perturbations"]["clean"]) for statement in statements]


def activations(config: Config, body, tokenizer, rows: Rows, quantization: str, layout=None) -> np.ndarray:
    """Return the vectors of all prompts, shape (n_layers, n_prompts, d_model)."""
    (site,) = config["activations"]["sites"]
    fixed = 1 if layout else config["activations"]["fixed_batch_tokens"].get(quantization)
    n_layers, d_model = shape(body, "smollm2-135m")
    vectors = np.full((n_layers, len(rows), d_model), np.nan, np.float32)
    tokens = tokenize(tokenizer, [row["prompt"] for row in rows])
    most = fixed or FREE_BATCH_TOKENS
    extract(body, tokens, into={site: vectors}, batch_tokens=most, layout=layout, name="smollm2-135m")
    return vectors


def splits(config: Config, rows: Rows) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return seed, training and test rows of each split."""
    groups = np.array([row["group"] for row in rows], dtype=object)
    return list(splits_of(labels(rows), groups, ProbeSettings(**config["probes"])))


def scores(config: Config, vectors: np.ndarray, rows: Rows) -> pd.DataFrame:
    """Return the scores of each layer."""
    settings = ProbeSettings(**config["probes"])
    groups = np.array([row["group"] for row in rows], dtype=object)
    tasks = tasks_of(labels(rows), groups, splits(config, rows), controls=[], choose=False)
    (task,) = tasks
    return pd.DataFrame([probe.scores for layer in vectors for probe in train_layer(layer, [task], settings)])


def labels(rows: Rows) -> np.ndarray:
    """Return the label of each row."""
    return np.array([row["label"] for row in rows], dtype=np.int8)


def by_class(rows: Rows) -> np.ndarray:
    """Return the order of the released code: class 0, then class 1, each in the order of the file."""
    return np.argsort(labels(rows), kind="stable")


# --- The table of docs/parity.md ----------------------------------------------------------------------------

FORMATS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "int8": {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)},
    "int8_no_outliers": {"quantization_config": BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)},
}
"""Weight formats; without outlier columns the batch should not matter to int8."""

HEADER = (
    "| dataset | compared | relative difference, mean | largest | layers with another accuracy | accuracy, mean | largest | "
    "AUC, largest |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main() -> None:
    """Measure and print, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=24, help="statements of each class")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--datasets", nargs="+", choices=released_code.LOADERS, default=DATASETS)
    parser.add_argument("--sources", type=Path, default=SOURCES)
    arguments = parser.parse_args()
    config = paper_configuration()
    tokenizer = load_tokenizer(WEIGHTS)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    print(HEADER)
    exact: dict[str, Result] = {}
    for form in arguments.formats:
        model = AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32, **FORMATS[form])
        for name in arguments.datasets:
            prompts = released_code.prompts(name, arguments.sources, arguments.first)
            p, n = (released_code.hidden_states(model, tokenizer, part) for part in prompts)
            alone = np.concatenate([p, n], axis=1), released_code.scores(p, n)
            rows = prompt_rows(config, name, arguments.sources, arguments.first)
            # What `fixed_batch_tokens: 1` is, beside passes of many prompts.
            ways = {"passes": None} if form == "fp32" else {"passes": None, "whole prompts": EqualLengths()}
            for way, layout in ways.items():
                vectors = activations(config, model.base_model, tokenizer, rows, form.partition("_")[0], layout)
                ours = vectors[:, by_class(rows)], scores(config, vectors, rows)
                print(table_row(name, f"{form}: {way} with one by one", alone, ours), flush=True)
            if form == "fp32":
                exact[name] = alone
            elif name in exact:
                print(table_row(name, f"{form} with fp32, both one by one", exact[name], alone), flush=True)


def table_row(name: str, compared: str, expected: Result, found: Result) -> str:
    """Return what two extractions differ by: of vectors, the length of the difference relative to the first's."""
    difference = np.linalg.norm(found[0] - expected[0], axis=2) / np.linalg.norm(expected[0], axis=2)
    accuracy, auc = (np.abs(found[1][score] - expected[1][score]) for score in ("accuracy", "auc"))
    return (
        f"| {name} | {compared} | {difference.mean():.1e} | {difference.max():.1e} | {(accuracy > 0).sum()} of "
        f"{len(accuracy)} | {accuracy.mean():.3f} | {accuracy.max():.3f} | {auc.max():.3f} |"
    )


if __name__ == "__main__":
    main()
