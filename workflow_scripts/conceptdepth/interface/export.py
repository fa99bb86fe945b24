"""Exporting the linear probes of a run: for each cell a folder that can be passed on and used without the run."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from conceptdepth.activations.store import open_activations, vectors_of
from conceptdepth.configuration.settings import chosen_grid, each_cell, grid
from conceptdepth.ground.disk import naming
from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.ground.files import file_sha256
from conceptdepth.ground.names import CONCEPT, CONTROL_FORMATS, PROBED, RANDOM
from conceptdepth.ground.shapes import json_of_shape
from conceptdepth.interface.cards import Cell, card_of, write_card
from conceptdepth.interface.extras import needed
from conceptdepth.interface.folders import CARD, PROBES
from conceptdepth.interface.readme import readme
from conceptdepth.interface.steering import (
    BLOCK_OUTPUT,
    IN_STREAM,
    TrainedSplit,
    hook_points,
    read_steering,
    write_lm_eval,
    write_plain,
)
from conceptdepth.interface.tables import read_table
from conceptdepth.models.weights import model_folder, weight_files
from conceptdepth.probes.predictions import LinearCurve, read_curves, read_linear
from conceptdepth.provenance.audit import Auditor
from conceptdepth.provenance.findings import INTACT, Audit

BANK = Path("results/bank")

README = "README.md"

TABLES = {name: f"results/tables/{name}.csv" for name in ("layer_intervals", "concept_depth")}

CONFIGURATION = "results/tables/configuration.yaml"


def export_probes(
    to: str | Path | None = None,
    *,
    directory: str | Path = ".",
    models: str | Sequence[str] = (),
    datasets: str | Sequence[str] = (),
) -> list[Path]:
    """Write a folder for each cell of a run that has linear probes, and return the folders.

    They are ``<to>/<model>/<quantization>/<dataset>.<perturbation>``, laid out as `conceptdepth.interface.folders`
    says. ``directory`` is the folder in which snakemake ran, and ``to`` is `BANK` in it unless given; ``models`` and
    ``datasets`` are names of the run, or one, none meaning all. What `left_out` says is not exported. Raises
    `UserError` if there is no finished run, if it has no such model or dataset, if what would be exported is not as its
    records say, or if a folder has files that no export wrote.
    """
    needed("huggingface_hub", "models")
    root = Path(directory)
    run = _Run.of(root)
    both = {"model": models, "dataset": datasets}
    names = {kind: [wanted] if isinstance(wanted, str) else list(wanted) for kind, wanted in both.items()}
    for kind, wanted in names.items():
        if unknown := [name for name in wanted if name not in run.config["run"][f"{kind}s"]]:
            raise UserError(f"the run has no {kind} {unknown[0]!r}; it has {one_of(run.config['run'][f'{kind}s'])}.")
    cells = [
        cell
        for cell in each_cell(chosen_grid(run.config))
        if all(not wanted or cell[kind] in wanted for kind, wanted in names.items())
    ]
    bank = root / BANK if to is None else Path(to)
    folders = [folder for cell in cells if (folder := run.exported(cell, bank))]
    if not folders:
        raise UserError("no cell has linear probes; add one that is not `mlp` to probes.kinds, and run again.")
    return folders


def left_out(directory: str | Path = ".") -> list[str]:
    """Return what of a finished run is never exported, in words."""
    config = yaml.safe_load((Path(directory) / CONFIGURATION).read_text("utf-8"))
    controls = [name for name in grid(config)["quantization"] if name in CONTROL_FORMATS]
    cells = ["cells of random weights" if name == RANDOM else "cells of the rerun" for name in controls]
    return [*(["probes of `mlp`, which have no direction"] if "mlp" in config["probes"]["kinds"] else []), *cells]


@dataclass(frozen=True)
class _Run:
    """A finished run, of which nothing is exported that is not as it was recorded."""

    root: Path
    auditor: Auditor
    config: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]

    @classmethod
    def of(cls, root: Path) -> "_Run":
        if not (root / CONFIGURATION).is_file() or not all((root / path).is_file() for path in TABLES.values()):
            raise UserError(
                f"there is no {CONFIGURATION}, or no table beside it: this needs a finished run, `make run`."
            )
        auditor = Auditor(root, weight_files)
        for path in (CONFIGURATION, *TABLES.values()):
            _audited(auditor, root / path)
        config = yaml.safe_load((root / CONFIGURATION).read_text("utf-8"))
        return cls(root, auditor, config, {name: read_table(root / path) for name, path in TABLES.items()})

    def exported(self, wildcards: Mapping[str, str], to: Path) -> Path | None:
        """Write the folder of a cell, unless it has no linear probes."""
        name = "{model}/{quantization}/{dataset}.{perturbation}".format(**wildcards)
        probes = self.root / f"results/probes/{name}.h5"
        if not probes.is_file():
            raise UserError(f"there is no {probes}: run the workflow first, `make run`.")
        audit = _audited(self.auditor, probes)
        _audited(self.auditor, probes.with_suffix(".csv"))
        curves = list(read_linear(str(probes)))
        if not curves:
            return None
        cell = Cell(
            names=dict(wildcards),
            records=list(audit.records.values()),
            config=self.config,
            scores=read_table(probes.with_suffix(".csv")),
            tables=self.tables,
            curves=curves,
            n_layers=self._layers(name),
            origin={"path": f"results/probes/{name}.h5", "sha256": file_sha256(probes)},
            model_json=self.root / f"results/models/{wildcards['model']}/model.json",
        )
        with _new_folder(to / name) as part:
            _write_probes(part / PROBES, curves)
            card = card_of(cell)
            card["steering"] = list(self._steering(part, name, cell, card))
            write_card(part, card)
            (part / README).write_text(readme(card), encoding="utf-8")
        return to / name

    def _layers(self, name: str) -> int:
        with open_activations(self.root / f"results/activations/{name}.h5") as file:
            return max(len(vectors) for vectors in vectors_of(file).values())

    def _steering(self, part: Path, name: str, cell: Cell, card: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Write what steering tools take, and yield what the card says of it."""
        held_out = _held_out(self.root / cell.origin["path"])
        places = {
            place: [TrainedSplit(each, held_out[place][seed]) for seed, each in curve.coefficients.items()]
            for curve in cell.curves
            if curve.names["site"] in IN_STREAM and curve.names["target"] == CONCEPT
            for place in [_place(curve.names)]
        }
        if not places:
            return
        for library in ("torch", "transformers"):
            needed(library, "models")
        (part / "steering").mkdir()
        hooks = hook_points(
            model_folder(cell.model_json, self.root), cell.names["model"], trust_remote_code=cell.trusted
        )
        peaks = {_place(each): each["peak_layer"] for each in card["curves"] if each["target"] == CONCEPT}
        for (site, position, probe), found in read_steering(
            self.root / f"results/activations/{name}.h5", places
        ).items():
            stem, peak = f"steering/{site}.{position}.{probe}", peaks[site, position, probe]
            facts = {"site": site, "position": position, "probe": probe, "where": IN_STREAM[site]}
            write_plain(part / f"{stem}.safetensors", found, facts | {"record": card["origin"]["record"]})
            said: dict[str, Any] = facts | {"file": f"{stem}.safetensors", "peak_layer": peak}
            if site == BLOCK_OUTPUT:
                write_lm_eval(part / f"{stem}.lm_eval.pt", found, peak, hooks[peak])
                said |= {"lm_eval": f"{stem}.lm_eval.pt", "hook": hooks[peak]}
            yield said | {"deviations": found.deviations.tolist(), "gaps": found.gaps.tolist()}


def _place(names: Mapping[str, Any]) -> tuple[str, str, str]:
    site, position, probe = (names[key] for key in PROBED)
    return site, position, probe


def _held_out(probes: Path) -> dict[tuple[str, str, str], dict[int | None, NDArray[np.int64]]]:
    """Return the statements that each split holds out, by site, position, probe and seed."""
    return {
        _place(curve.names): {split.seed: split.test for split in curve.splits} for curve in read_curves(str(probes))
    }


def _audited(auditor: Auditor, path: Path) -> Audit:
    """Audit a file. Raises `UserError` unless it is intact."""
    audit = auditor.audit_file(path)
    for finding in audit.findings:
        raise UserError(
            f"these results are not {INTACT}, so they are not exported: {finding.path} {finding.text}; "
            "run the workflow again."
        )
    return audit


def _write_probes(path: Path, curves: Sequence[LinearCurve]) -> None:
    from safetensors.numpy import save  # Its way to write a file would let nobody else read it.

    tensors = {}
    for curve in curves:
        for seed, weights in curve.coefficients.items():
            name = f"{'/'.join(curve.names.values())}/seed_{seed}"
            tensors[f"{name}/directions"] = np.ascontiguousarray(weights[:, :-1])
            tensors[f"{name}/intercepts"] = np.ascontiguousarray(weights[:, -1])
    path.write_bytes(save(tensors, metadata={"format": "np"}))


@contextmanager
def _new_folder(final: Path) -> Iterator[Path]:
    """Give a folder beside the final one to write to, which takes its place if the block succeeds.

    Raises `UserError` if there is something else than an export, or more than its card names.
    """
    if final.exists() or final.is_symlink():
        old = None if final.is_symlink() else json_of_shape(final / CARD, {"files": {str: str}})
        if old is None:
            raise UserError(f"{final} is no folder of exported probes; move it away, or name another with --to.")
        known = {CARD, README, *old["files"]}
        there = (path.relative_to(final).as_posix() for path in sorted(final.rglob("*")) if not path.is_dir())
        if others := [name for name in there if name not in known]:
            raise UserError(f"{final} has {others[0]}, which no export wrote; move it away, or name another with --to.")
    part = final.with_name(f".{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with naming(final):
            yield part
            shutil.rmtree(final, ignore_errors=True)
            part.rename(final)
    finally:
        shutil.rmtree(part, ignore_errors=True)
