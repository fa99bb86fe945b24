"""What an exported folder says of its probes: ``card.json``, made from records, tables and the configuration."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from conceptdepth.datasets.prompts import presented
from conceptdepth.ground.files import file_sha256
from conceptdepth.ground.names import CONCEPT, PARTIAL_OUT, SCORED
from conceptdepth.interface.folders import CARD, FORMAT, FORMAT_VERSION
from conceptdepth.models.weights import read_description
from conceptdepth.probes.predictions import LinearCurve
from conceptdepth.provenance.record import RecordContent, sealed


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a finished run, and what is known of it."""

    names: dict[str, str]
    """By `conceptdepth.ground.names.CELL`."""
    records: Sequence[RecordContent]
    """Of all jobs behind its probes."""
    config: Mapping[str, Any]
    """The run's configuration."""
    scores: pd.DataFrame
    """Of every probe of the cell."""
    tables: Mapping[str, pd.DataFrame]
    """``layer_intervals`` and ``concept_depth`` of the run."""
    curves: Sequence[LinearCurve]
    n_layers: int
    origin: dict[str, str]
    """Path and SHA-256 of its file of probes."""
    model_json: Path

    def record(self, rule: str) -> RecordContent:
        """Return the record of the cell's job of a rule."""
        return next(
            record
            for record in self.records
            if record["rule"] == rule
            and all(record["wildcards"].get(name) in (None, value) for name, value in self.names.items())
        )

    @cached_property
    def extraction(self) -> Mapping[str, Any]:
        """What decided its vectors."""
        params: Mapping[str, Any] = self.record("extract_activations")["params"]
        return params

    @property
    def trusted(self) -> bool:
        """Whether code that comes with the model may run."""
        return bool(self.extraction["model"].get("trust_remote_code", False))


def card_of(cell: Cell) -> dict[str, Any]:
    """Return a card without its files and its seal."""
    trained = cell.record("train_probes")
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "cell": cell.names,
        "model": _model(cell),
        "dataset": _dataset(cell),
        "rendering": _rendering(cell),
        "training": {**trained["params"]["probes"], "controls": trained["params"]["controls"]},
        "level": cell.config["intervals"]["level"],
        "curves": [_curve(cell, curve) for curve in cell.curves],
        "origin": {
            **cell.origin,
            "record": trained["id"],
            "records": [{key: each[key] for key in ("rule", "wildcards", "id")} for each in cell.records],
            "git": trained["git"],
            "versions": trained["environment"]["versions"],
            "ended": trained["ended"],
        },
    }


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write a card beside the files that it is about, whose hashes it has."""
    files = {
        path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
    content = json.dumps(sealed({**card, "files": files}), indent=1, ensure_ascii=False)
    (folder / CARD).write_text(content + "\n", encoding="utf-8")


def _model(cell: Cell) -> dict[str, Any]:
    entry, description = cell.config["models"][cell.names["model"]], read_description(cell.model_json)
    return {
        "label": entry["label"],
        "licence": entry["licence"],
        "source": _without_folders(description["source"]),
        "files": {name: facts["sha256"] for name, facts in description["files"].items()},
        "weights": cell.extraction["activations"]["weights"],
        "real_weights": str(cell.scores["weights"].iloc[0]),
        "fixed_batch_tokens": cell.extraction["activations"]["fixed_batch_tokens"],
        "tokenizer": cell.extraction["model"].get("tokenizer", "class"),
        "trust_remote_code": cell.trusted,
        "n_layers": cell.n_layers,
        "d_model": next(iter(cell.curves[0].coefficients.values())).shape[1] - 1,
    }


def _dataset(cell: Cell) -> dict[str, Any]:
    entry, prepared = cell.config["datasets"][cell.names["dataset"]], cell.record("prepare_dataset")
    return {
        **{key: entry[key] for key in ("label", "about", "domain", "licence")},
        "source": _without_folders(prepared["params"]["dataset"]["source"]),
        "sources": [{"path": Path(each["path"]).name, "sha256": each["sha256"]} for each in prepared["inputs"]],
        "statements": {key: prepared["outputs"][0][key] for key in ("path", "sha256")},
        "classes": [cls["name"] for cls in entry["classes"]],
    }


def _without_folders(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return where something is from, without the folders of whoever ran it."""
    return {key: Path(value).name if key == "path" else value for key, value in source.items()}


def _rendering(cell: Cell) -> dict[str, Any]:
    """Return all that decides what a model reads of a text."""
    params = cell.record("render_prompts")["params"]
    own = params["perturbation"]
    instruction = (params["prompts"] or {}).get("instruction", "declared")
    return {
        "template": presented(params["dataset"]["template"], instruction, own.get("template", {})),
        "perturbation": {key: own[key] for key in ("prepend", "seed") if key in own},
        "chat": dict(cell.extraction["perturbation"]),
    }


def _curve(cell: Cell, curve: LinearCurve) -> dict[str, Any]:
    """Return what is known of the probes of all layers of a site, position, kind and target."""
    accuracy = _by_layer(cell, curve.names, "accuracy")
    of_concept = _by_layer(cell, curve.names | {"target": CONCEPT}, "accuracy")
    bounds = _rows(cell.tables["layer_intervals"], cell, curve.names).sort_values("layer")
    known = curve.names["target"] == CONCEPT and len(bounds) == len(accuracy)
    none = [None] * len(accuracy)
    by_seed = _rows(cell.scores, cell, curve.names).sort_values("layer").groupby("seed")["accuracy"]
    return {
        **curve.names,
        "applies_to": "vectors without nuisances" if curve.names["target"] == PARTIAL_OUT else "vectors",
        "seeds": list(curve.coefficients),
        "n_test": int(_rows(cell.scores, cell, curve.names)["n_test"].iloc[0]),
        "peak_layer": int(np.argmax(of_concept)),
        "accuracy": accuracy,
        "accuracy_by_seed": {str(seed): [float(value) for value in values] for seed, values in by_seed},
        "low": _numbers(bounds["low"]) if known else none,
        "high": _numbers(bounds["high"]) if known else none,
        "auc": _numbers(_by_layer(cell, curve.names, "auc")),
        "converged": _by_layer(cell, curve.names, "converged"),
        "held_out_peak": _held_out_peak(cell, curve) if known else None,
    }


def _held_out_peak(cell: Cell, curve: LinearCurve) -> dict[str, float | None] | None:
    """Return the accuracy, with its interval, of a layer that other statements chose; None if that is not known."""
    found, name = _rows(cell.tables["concept_depth"], cell, curve.names), "held_out_peak_accuracy"
    if found.empty or not np.isfinite(found[name].iloc[0]):
        return None
    columns = {"accuracy": name, "low": f"{name}_low", "high": f"{name}_high"}
    return {key: _numbers(found[column])[0] for key, column in columns.items()}


def _by_layer(cell: Cell, names: Mapping[str, str], column: str) -> list[float]:
    """Return the mean over splits of a score of each layer."""
    means = _rows(cell.scores, cell, names).groupby("layer")[column].mean().sort_index()
    return [float(value) for value in means]


def _rows(table: pd.DataFrame, cell: Cell, names: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of a curve of a cell."""
    wanted = {**cell.names, **names}
    for column in (name for name in SCORED if name in table):
        table = table[table[column].astype(str) == wanted[column]]
    return table


def _numbers(values: Any) -> list[float | None]:
    """Return numbers as JSON has them: what is none is null."""
    return [float(value) if np.isfinite(value) else None for value in values]
