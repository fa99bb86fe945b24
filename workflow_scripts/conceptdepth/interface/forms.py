"""Vectors and statements in the forms of other libraries, on the bytes of the activation file: nothing is copied."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from conceptdepth.ground.errors import UserError
from conceptdepth.interface.extras import needed
from conceptdepth.interface.vectors import Vectors


def as_xarray(vectors: Vectors, facts: Mapping[str, str] | None = None) -> Any:
    """Return vectors as an `xarray.Dataset`; ``facts`` are its attributes.

    ``<site>_<position>`` has the dimensions (layer, statement, feature), ``embedding_<position>`` (statement, feature).
    ``layer`` counts from 0; along it stands ``depth`` (layer / n_layers), along ``statement`` its id, with ``label``,
    ``group`` and ``n_tokens``. Raises `UserError` without xarray.
    """
    xarray = needed("xarray", "xarray")
    layered = ("layer", "statement", "feature")
    variables: dict[str, Any] = {
        f"{site}_{position}": (layered, array) for (site, position), array in vectors.arrays.items()
    }
    variables |= {f"embedding_{position}": (layered[1:], array[0]) for position, array in vectors.embedding.items()}
    n_layers = len(next(iter(vectors.arrays.values())))
    known = {"label": vectors.labels, "group": vectors.groups, "n_tokens": vectors.n_tokens}
    along = {name: ("statement", values) for name, values in known.items() if values is not None}
    layers = np.arange(n_layers)
    coordinates = {"layer": layers, "depth": ("layer", layers / n_layers), "statement": vectors.ids, **along}
    return xarray.Dataset(variables, coordinates, facts)


def as_arrow(
    vectors: Vectors,
    layer: int | None = None,
    *,
    site: str = "mlp_input",
    position: str = "last",
    texts: pd.DataFrame | None = None,
) -> pa.Table:
    """Return statements as an Arrow table, and the vectors of a layer as lists of d_model float32 if one is given.

    ``texts`` has columns to put in by id, before the labels. Raises `UserError` for a layer that does not exist.
    """
    columns: dict[str, Any] = {"id": pa.array(vectors.ids, pa.string())}
    if texts is not None:
        chosen = texts.reindex(vectors.ids)
        columns |= {name: pa.array(chosen[name], pa.string(), from_pandas=True) for name in chosen}
    if vectors.labels is not None:
        columns["label"] = pa.array(vectors.labels)
    if vectors.groups is not None:
        columns["group"] = pa.array(vectors.groups, pa.string())
    columns["n_tokens"] = pa.array(vectors.n_tokens)
    if layer is not None:
        columns["vector"] = _lists(vectors.at(site=site, position=position), layer)
    return pa.table(columns)


def _lists(array: Any, layer: int) -> pa.FixedSizeListArray:
    """Return a layer as lists of one length, over the bytes of the array."""
    if layer not in range(len(array)):
        raise UserError(f"there is no layer {layer}; there are 0 to {len(array) - 1}.")
    rows = np.ascontiguousarray(array[layer], dtype=np.float32)
    values = pa.Array.from_buffers(pa.float32(), rows.size, [None, pa.py_buffer(rows)])
    return pa.FixedSizeListArray.from_arrays(values, rows.shape[1])


def as_dataset(table: pa.Table, *known_by: str) -> Any:
    """Return an Arrow table as a `datasets.Dataset` on the same bytes. Raises `UserError` without the library.

    ``known_by`` says which table it is, among all: by it the library finds again what it has computed of a table.
    Otherwise it would read all vectors to know.
    """
    datasets = needed("datasets", "datasets")
    fingerprint = hashlib.sha256("\n".join(known_by).encode()).hexdigest()[:16]
    return datasets.Dataset(datasets.table.InMemoryTable(table), fingerprint=fingerprint)
