"""The draws of every quantity of every curve: ``results/depth/draws.h5``, from which differences and claims are made.

A group for each curve, at the names of `conceptdepth.ground.names.CURVE`, which are its attributes too, as are those of
its `Design`, whether it has a depth (``above``) and the position that reads the same tokens (``same_tokens_as``). In it
a dataset for each quantity, shape (draws,), whose attribute ``value`` is the quantity itself.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from conceptdepth.depth.estimates import Estimate
from conceptdepth.depth.uncertainty import Design
from conceptdepth.ground.hdf5 import NUMBER, TEXT, array, attribute, check_strings, open_hdf5
from conceptdepth.ground.names import CURVE


def write_draws(file: h5py.File, estimates: Sequence[Estimate], above: Sequence[bool]) -> None:
    """Write the draws of estimates; ``above`` says which curves are above their baselines and so have a depth."""
    for found, has_depth in zip(estimates, above):
        group = file.create_group("/".join(found.names.values()))
        facts = {"above": has_depth, "same_tokens_as": found.facts["same_tokens_as"]}
        group.attrs.update({**found.names, "scale": found.design.scale, "df": found.design.df, **facts})
        for name, draws in found.draws.items():
            group.create_dataset(name, data=draws).attrs["value"] = found.values[name]


def open_draws(path: str | Path) -> h5py.File:
    """Open a file of draws for reading. Raises `UserError` if it is something else, or damaged."""
    return open_hdf5(path, _check)


def _check(file: h5py.File) -> None:
    check_strings(file)
    for curve in curves(file):
        for name in (*CURVE, "same_tokens_as"):
            attribute(curve, name, TEXT)
        for name in ("scale", "df"):
            attribute(curve, name, NUMBER)
        for name in curve:
            attribute(array(curve, name, NUMBER, 1), "value", NUMBER)


def curves(file: h5py.File) -> Iterator[h5py.Group]:
    """Yield the group of each curve."""
    for item in file.values():
        if "model" in item.attrs:
            yield item
        else:
            yield from curves(item)


def design(curve: h5py.Group) -> Design:
    """Return the design of a curve's experiment."""
    return Design(curve.attrs["scale"], curve.attrs["df"])


def moved(file: h5py.File, cells: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return a quantity of cells, and in each draw as far from there as the whole experiment could move it.

    ``cells`` has the columns of `CURVE`; its index stays. Columns are 0, the quantity, and one for each draw. Draws
    without the quantity leave it where it is, and the others move it by as much more.
    """
    rows = []
    for names in cells[list(CURVE)].itertuples(index=False):
        curve = file["/".join(names)]
        value, draws = curve[quantity].attrs["value"], curve[quantity][:]
        known = np.isfinite(draws)
        away = np.zeros(len(draws))
        if known.any():
            away[known] = (draws[known] - draws[known].mean()) / np.sqrt(known.mean())
        rows.append(np.append(value, value + away * design(curve).scale))
    return pd.DataFrame(rows, index=cells.index, columns=range(len(rows[0]) if rows else 1))
