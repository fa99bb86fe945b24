"""The data of `results/explorer.html`: curves, baselines, tables and statements of a run, as one mapping for JSON.

Floats have six decimals, what is not a number is None, and names are those of the configuration; ``labels`` has what
readers call them.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from conceptdepth.figures.words import word
from conceptdepth.ground.names import CONCEPT, CURVE, EMBEDDING, SCORED

if TYPE_CHECKING:
    import pandas as pd

Labels = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""What `conceptdepth.configuration.settings.page_labels` returns."""

SCORES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "auc": "AUC",
    "mcc": "Matthews correlation",
    "log_loss": "log loss (nats)",
    "description_length": "description length",
    "compression": "compression",
    "selectivity": "selectivity",
}
"""What readers call the scores of probes and baselines, which are columns of their tables."""

AUDIT = ".venv/bin/conceptdepth audit {file}"
"""The command that says where a file comes from."""

SHOWN = (
    "concept_depth",
    "depth_differences",
    "partial_depth",
    "claims",
    "baseline_scores",
    "data_audit",
    "depth_variance",
    "activation_drift",
    "published_differences",
    "coverage",
)
"""Tables that the page has whole, as CSV."""

PLACES = ("layer", "n_layers", "n_test", "majority", "converged")
"""Columns of ``layer_scores.csv`` that are kept beside its scores."""


@dataclass(frozen=True)
class Tables:
    """The tables that curves are made of, as they were read."""

    scores: "pd.DataFrame"
    """``layer_scores.csv``"""
    depths: "pd.DataFrame"
    """``concept_depth.csv``"""
    intervals: "pd.DataFrame"
    """``layer_intervals.csv``"""
    baselines: "pd.DataFrame"
    """``baseline_scores.csv``"""
    published: "pd.DataFrame | None" = None
    """What `conceptdepth.depth.published.published_curves` returns."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Tables of the run as CSV, by the names of their files."""


def data(tables: Tables, *, labels: Labels, level: float, records: Mapping[str, str], record: str) -> dict[str, Any]:
    """Return all but statements: what is the same whatever the page has to leave out.

    ``level`` is that of the run's intervals, ``records`` has the id of the record of each file, ``record`` the page's.
    """
    datasets = labels["datasets"]
    return {
        "title": title(labels),
        "record": record,
        "level": level,
        "labels": words(labels, tables),
        "domains": {name: entry["domain"] for name, entry in datasets.items()},
        "classes": {name: entry["classes"] for name, entry in datasets.items()},
        "curves": curves(tables, records),
        "baselines": baselines(tables.baselines),
        "published": published(tables.published),
        "tables": {name: cells(text) for name, text in tables.texts.items()},
        "statements": {},
        "kept": "",
        "audit": AUDIT,
    }


def cells(text: str) -> dict[str, list[Any]]:
    """Return the columns and rows of a CSV file, of which each cell stays the text that it is."""
    columns, *rows = csv.reader(io.StringIO(text))
    return {"columns": columns, "rows": rows}


def curves(tables: Tables, records: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return each curve of the concept, in the order of ``layer_scores.csv``; the embedding's is a part of others.

    ``records`` has the id of the record of each table of scores, by its path.
    """
    scored = present(tables.scores)
    by_layer = tables.scores.groupby([*SCORED, "layer"], sort=False)
    means = by_layer[[*scored, *PLACES[1:]]].mean()
    means[["least", "most"]] = by_layer["accuracy"].agg(["min", "max"])
    layers = {names: rows.sort_index(level="layer") for names, rows in means.groupby(list(SCORED), sort=False)}
    splits = tables.scores.groupby(list(CURVE), sort=False)["seed"].nunique()
    bounds = dict(iter(tables.intervals.groupby(list(CURVE), sort=False)))
    same = dict(zip(tables.depths[list(CURVE)].itertuples(index=False, name=None), tables.depths["same_tokens_as"]))
    controls = [target for target in tables.scores["target"].unique() if target != CONCEPT]
    found = []
    for (*names, target), rows in layers.items():
        names, named = tuple(names), dict(zip(CURVE, names))
        if target != CONCEPT or named["site"] == EMBEDDING:
            continue
        file = "results/probes/{model}/{quantization}/{dataset}.{perturbation}.csv".format(**named)
        found.append(
            named
            | {key: _number(rows[key].iloc[0]) for key in ("n_layers", "n_test", "majority")}
            | {"n_splits": int(splits[names]), "same_tokens_as": same.get(names, named["position"])}
            | {"scores": by_score(rows, scored)}
            | {key: rounded(rows[key]) for key in ("least", "most", "converged")}
            | _interval(bounds.get(names))
            | {"controls": {t: by_score(layers[*names, t], scored) for t in controls if (*names, t) in layers}}
            | {"embedding": _embedding(layers.get((*names[:4], EMBEDDING, *names[5:], CONCEPT)), scored)}
            | {"file": file, "record": records.get(file, ""), "statements": None}
        )
    return found


def present(table: "pd.DataFrame") -> list[str]:
    """Return the scores that a table has and that are not all missing."""
    return [name for name in SCORES if name in table and table[name].notna().any()]


def by_score(rows: "pd.DataFrame", scored: Sequence[str]) -> dict[str, list[float | None]]:
    """Return a list over layers for each score that these rows have."""
    return {name: rounded(rows[name]) for name in scored if rows[name].notna().any()}


def rounded(values: ArrayLike) -> list[float | None]:
    """Return numbers with six decimals, None for what is none."""
    numbers = np.round(np.asarray(values, dtype=float), 6)
    return [number if finite else None for number, finite in zip(numbers.tolist(), np.isfinite(numbers))]


def _number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else round(float(value), 6)


def _interval(rows: "pd.DataFrame | None") -> dict[str, list[float | None]]:
    """Return ``low`` and ``high`` of each layer, nothing if there are none."""
    if rows is None or rows["low"].isna().all():
        return {}
    rows = rows.sort_values("layer")
    return {bound: rounded(rows[bound]) for bound in ("low", "high")}


def _embedding(rows: "pd.DataFrame | None", scored: Sequence[str]) -> dict[str, float | None] | None:
    """Return the scores of the embedding, which has one layer."""
    return None if rows is None else {name: values[0] for name, values in by_score(rows, scored).items()}


def baselines(table: "pd.DataFrame") -> dict[str, dict[str, dict[str, dict[str, float | None]]]]:
    """Return the mean of each score over splits by dataset, perturbation and baseline; nothing of an empty table."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    scored = present(table)
    for (dataset, perturbation, baseline), rows in table.groupby(["dataset", "perturbation", "baseline"], sort=False):
        means = dict(zip(scored, rounded(rows[scored].mean())))
        found.setdefault(dataset, {}).setdefault(perturbation, {})[baseline] = means
    return found


def published(curves: "pd.DataFrame | None") -> list[dict[str, Any]]:
    """Return the published curves, by the names that the run has for their models and datasets."""
    if curves is None:
        return []
    return [
        {"model": model, "dataset": dataset, "accuracy": rounded(rows.sort_values("layer")["accuracy"])}
        | {"n_layers": int(rows["n_layers"].iloc[0])}
        for (model, dataset), rows in curves.groupby(["model", "dataset"], sort=False)
    ]


def words(labels: Labels, tables: Tables) -> dict[str, dict[str, str]]:
    """Return what readers call each name that stands in the data, by what it names."""
    found = {
        kind: {name: entry["label"] for name, entry in labels[f"{kind}s"].items()} for kind in ("model", "dataset")
    }
    for kind in ("quantization", "perturbation", "site", "position", "probe", "target"):
        found[kind] = {str(name): word(str(name)) for name in tables.scores[kind].unique()}
    found["baseline"] = {str(name): word(str(name)) for name in tables.baselines["baseline"].unique()}
    return found | {"score": {name: SCORES[name] for name in present(tables.scores)}}


def title(labels: Labels) -> str:
    """Return what was run, as the title of a page."""
    return " on ".join(
        next(iter(labels[kind].values()))["label"] if len(labels[kind]) == 1 else f"{len(labels[kind])} {kind}"
        for kind in ("models", "datasets")
    )
