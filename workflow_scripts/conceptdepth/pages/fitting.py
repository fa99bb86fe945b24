"""What an explorer leaves out so that it stays small: what is said of single statements gives way first, then drift."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptdepth.ground.names import CURVE
from conceptdepth.pages.statements import HeldOut, packed

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 5_000_000
"""Of a page."""

NAMED = {
    "first_above_baseline": "the first above the baselines",
    "gain_centre": "the one at the centre of gain",
    "peak_depth": "the peak",
}
"""Columns of ``concept_depth.csv`` whose layers are kept when others are left out."""

WITHOUT_DECISIONS = "To keep this page small, it does not say how sure the probes are of a statement."

OF_NAMED_LAYERS = (
    "To keep this page small, it does not say how sure the probes are of a statement, and of four layers alone which "
    f"statements they get right: {', '.join(NAMED.values())}, and the last."
)

WITHOUT_STATEMENTS = "To keep this page small, it does not say which statements the probes get right."

DRIFT = "activation_drift"
"""The table that is by far the longest: a row for each layer of each pair of cells."""

WITHOUT_DRIFT = f"Drift of activations is left out, too: results/tables/{DRIFT}.csv has it."

Data = dict[str, Any]


def smaller_and_smaller(
    data: Data, tested: Mapping[tuple[str, ...], HeldOut], depths: "pd.DataFrame"
) -> Iterator[Data]:
    """Yield the data of a page with all that is known of statements, then with less and less, at last with nothing.

    ``data`` has ``curves``, ``tables`` and ``statements``; ``tested`` has what curves make of statements, by the
    columns that name a curve; ``depths`` is ``concept_depth.csv``.
    """
    every = {names: range(len(one.right)) for names, one in tested.items()}
    named = {names: named_layers(row, len(tested[names].right)) for names, row in _rows(depths) if names in tested}
    last = {names: [len(layers) - 1] for names, layers in every.items()}
    yield _with_statements(data, tested, every, decisions=True) | {"kept": ""}
    yield _with_statements(data, tested, every, decisions=False) | {"kept": WITHOUT_DECISIONS}
    yield _with_statements(data, tested, last | named, decisions=False) | {"kept": OF_NAMED_LAYERS}
    without = data | {"statements": {}, "kept": WITHOUT_STATEMENTS}
    yield without
    if DRIFT in data["tables"]:
        others = {name: table for name, table in data["tables"].items() if name != DRIFT}
        yield without | {"tables": others, "kept": f"{WITHOUT_STATEMENTS} {WITHOUT_DRIFT}"}


def named_layers(row: Mapping[str, Any], n_layers: int) -> list[int]:
    """Return the layers of a row of ``concept_depth.csv`` at the depths of `NAMED`, and the last."""
    found = [row[name] * n_layers for name in NAMED if name in row and not np.isnan(row[name])]
    return sorted({min(max(round(layer), 0), n_layers - 1) for layer in found} | {n_layers - 1})


def _rows(depths: "pd.DataFrame") -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for row in depths.to_dict("records"):
        yield tuple(row[name] for name in CURVE), row


def _with_statements(
    data: Data,
    tested: Mapping[tuple[str, ...], HeldOut],
    layers: Mapping[tuple[str, ...], Sequence[int]],
    *,
    decisions: bool,
) -> Data:
    places = {name: {id_: place for place, id_ in enumerate(of["ids"])} for name, of in data["statements"].items()}
    curves = []
    for curve in data["curves"]:
        names = tuple(curve[name] for name in CURVE)
        found = tested.get(names)
        kept = found and packed(found, places[curve["dataset"]], layers[names], decisions=decisions)
        curves.append(curve | {"statements": kept})
    return data | {"curves": curves}
