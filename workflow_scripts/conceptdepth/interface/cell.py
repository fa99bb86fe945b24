"""One cell of a run: a model in a weight format on the texts of a dataset, from its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from conceptdepth.datasets.rows import read_prompts, read_statements
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import CONCEPT, LAST, PROBED
from conceptdepth.interface.choosing import only_row, rows_with
from conceptdepth.interface.forms import as_arrow, as_dataset, as_xarray
from conceptdepth.interface.stored import stored_vectors
from conceptdepth.interface.vectors import Vectors
from conceptdepth.probes.predictions import Curve, Split, read_curves


@dataclass(frozen=True)
class Cell:
    """A cell; every method raises `UserError` where a file of it is not there, or is damaged."""

    folder: Path
    """Of the results."""
    names: dict[str, str]
    """Its model, quantization, dataset and perturbation."""

    def file(self, kind: str) -> Path:
        """Return the HDF5 file of its ``activations`` or ``probes``."""
        path = self.folder / kind / "{model}/{quantization}/{dataset}.{perturbation}.h5".format(**self.names)
        if not path.is_file():
            raise UserError(f"there is no {path}, the {kind} of {', '.join(self.names.values())}.")
        return path

    @property
    def vectors(self) -> Vectors:
        """Vectors of all sites, positions and layers, on disk: a layer is read when its numbers are asked for."""
        return stored_vectors(self.file("activations"))

    @property
    def texts(self) -> pd.DataFrame:
        """``text`` and ``prompt`` of each statement, by its ``id``; missing where the file of these is not there."""
        dataset, perturbation = self.names["dataset"], self.names["perturbation"]
        statements = self.folder / f"datasets/{dataset}.jsonl"
        prompts = self.folder / f"prompts/{dataset}.{perturbation}.jsonl"
        columns = {
            "text": read_statements(statements) if statements.is_file() else [],
            "prompt": read_prompts(prompts) if prompts.is_file() else [],
        }
        by_id = {name: pd.Series({row["id"]: row[name] for row in rows}, dtype="str") for name, rows in columns.items()}
        return pd.DataFrame(by_id).rename_axis("id")

    def statements(
        self,
        *,
        site: str | None = None,
        position: str | None = None,
        probe: str | None = None,
        layer: int | None = None,
        target: str = CONCEPT,
    ) -> pd.DataFrame:
        """Return what the probes of a curve say of the statements that each split held out.

        A row for each split, layer (None: of all) and held-out statement: ``seed``, ``layer``, ``id``, ``text``,
        ``prompt``, ``label`` (of a control its own), ``group``, ``decision`` (above 0 for class 1; log-odds if the
        probe has probabilities), ``predicted`` and ``right``. ``site``, ``position`` and ``probe`` may be left out
        where there is one.
        """
        path = self.file("probes")
        curves = list(read_curves(str(path), decisions=True, target=target))
        known = pd.DataFrame([curve.names for curve in curves])
        chosen = rows_with(known, {"site": site, "position": position, "probe": probe}, str(path))
        only_row(chosen, PROBED, str(path))
        curve = curves[chosen.index[0]]
        if curve.ids is None:
            raise UserError(f"{path} is of an older version: it has no ids; delete it and run again.")
        rows = held_out(curve)
        if layer is not None:
            rows = rows_with(rows, {"layer": layer}, str(path)).reset_index(drop=True)
        texts = self.texts.reindex(rows["id"]).reset_index(drop=True)
        return pd.concat([rows[["seed", "layer", "id"]], texts, rows.drop(columns=["seed", "layer", "id"])], axis=1)

    def xarray(self) -> Any:
        """Return the vectors as an `xarray.Dataset` on disk, see `conceptdepth.interface.forms.as_xarray`."""
        return as_xarray(self.vectors, self.names)

    def arrow(self, layer: int | None = None, *, site: str = "mlp_input", position: str = LAST) -> Any:
        """Return statements, and vectors of a layer if one is given, as a `pyarrow.Table` on disk.

        Columns: ``id``, ``text``, ``prompt``, ``label``, ``group``, ``n_tokens`` and ``vector``, float32 of d_model.
        """
        return as_arrow(self.vectors, layer, site=site, position=position, texts=self.texts)

    def dataset(self, layer: int | None = None, *, site: str = "mlp_input", position: str = LAST) -> Any:
        """Return the same as a `datasets.Dataset` of Hugging Face, on the same bytes."""
        file = self.file("activations")
        known = (file.absolute(), file.stat().st_mtime_ns, layer, site, position)
        return as_dataset(self.arrow(layer, site=site, position=position), *map(str, known))


def held_out(curve: Curve) -> pd.DataFrame:
    """Return a row for each split, layer and held-out statement of a curve that has ids and decisions."""
    rows = pd.concat(
        [_of_layer(curve, split, layer) for split in curve.splits for layer in range(len(split.predicted))],
        ignore_index=True,
    )
    return rows.astype({"seed": "Int64", "id": "str", "group": "str"})


def _of_layer(curve: Curve, split: Split, layer: int) -> pd.DataFrame:
    assert split.decision is not None
    assert curve.ids is not None
    labels = curve.labels[split.test] if split.labels is None else split.labels
    return pd.DataFrame({
        "seed": split.seed,
        "layer": layer,
        "id": curve.ids[split.test],
        "label": labels,
        "group": curve.groups[split.test],
        "decision": split.decision[layer],
        "predicted": split.predicted[layer],
        "right": split.predicted[layer] == labels,
    })  # fmt: skip
