"""Activation files of vectors that are made up, so that what reads them can be tested without a model."""

import json

import numpy as np
from conceptdepth.activations.spots import spot
from conceptdepth.activations.store import new_activations


def write_activations(path, vectors, rows, *, weights="fp32"):
    """Write ``vectors`` by site and position, of which the site ``embedding`` has one layer.

    Those of a site that are the same object are stored once, under both names. ``rows`` have id, label and group.
    """
    sites = [site for site in vectors if site != "embedding"]
    of_first = vectors[sites[0]]
    same = {
        position: next(name for name in of_first if of_first[name] is values) for position, values in of_first.items()
    }
    n_layers, n, d_model = next(iter(of_first.values())).shape
    size = {"n_layers": n_layers, "d_model": d_model, "prompts": rows, "n_tokens": [5] * n}
    places = dict.fromkeys(of_first, np.tile(np.array([4, 5], "i4"), (n, 1)))
    with new_activations(path, sites=sites, places=places, same=same, **size) as file:
        for site, at in vectors.items():
            for position in dict.fromkeys(same.values()):
                for layer, values in enumerate(at[position]):
                    file.into[spot(site, position)][layer, np.arange(n)] = values
        file.attrs.update({"weights": weights, "sites": json.dumps(dict.fromkeys(sites, "where it is read"))})
