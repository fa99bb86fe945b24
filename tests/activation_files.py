"""Activation files of format version 3 written by hand, so that what reads them can be tested without a model."""

import json

import h5py
import numpy as np


def write_activations(path, vectors, rows, *, weights="fp32"):
    """Write ``vectors`` by site and position, of which the site ``embedding`` has one layer.

    Those of a site that are the same object are stored once, under both names. ``rows`` have id, label and group.
    """
    n, positions = len(rows), list(next(iter(vectors.values())))
    with h5py.File(path, "w") as file:
        for site, at in vectors.items():
            group = file.create_group(site if site == "embedding" else f"activations/{site}")
            for position, values in at.items():
                same = next((name for name in group if at[name] is values), None)
                group[position] = group[same] if same else np.asarray(values, "<f4")
        for name in ("id", "group"):
            file.create_dataset(name, data=[row[name] for row in rows], dtype=h5py.string_dtype())
        file.create_dataset("label", data=np.array([row["label"] for row in rows], "i1"))
        file.create_dataset("n_tokens", data=np.full(n, 5, "i4"))
        for position in positions:
            file.create_dataset(f"places/{position}", data=np.tile(np.array([4, 5], "i4"), (n, 1)))
        sites = {site: "where it is read" for site in vectors if site != "embedding"}
        file.attrs.update({
            "format": "conceptdepth-activations", "format_version": 3, "weights": weights,
            "positions": positions, "sites": json.dumps(sites),
        })  # fmt: skip
