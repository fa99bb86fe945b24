"""Which statements the probes of a curve get right, and what may be said of the statements themselves."""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conceptdepth.datasets.rows import Row
from conceptdepth.ground.errors import UserError
from conceptdepth.probes.predictions import Curve

MOST_CHARACTERS = 300
"""Of a text; what is longer is cut."""

LARGEST = 127
"""What stands for the largest decision of a layer: the largest number of eight bits with a sign."""


@dataclass(frozen=True)
class HeldOut:
    """What the probes of a curve make of the statements that any split held out."""

    ids: tuple[str, ...]
    """Names of the statements, n_tested of them."""
    n_tested: NDArray[np.int64]
    """In how many splits each was held out, shape (n_tested,)."""
    right: NDArray[np.uint8]
    """In how many of these each layer was right, shape (n_layers, n_tested)."""
    decision: NDArray[np.int8]
    """Mean decision over these, above 0 for class 1, as a share of the layer's ``scale``; 127 is all of it. Of the
    shape of ``right``."""
    scale: NDArray[np.float64]
    """Largest absolute mean decision of each layer, shape (n_layers,)."""


def count_right(curve: Curve) -> HeldOut:
    """Count over splits. The curve comes from `conceptdepth.probes.predictions.read_curves` with decisions.

    Raises `UserError` if its splits are of different numbers of layers.
    """
    if len({len(split.predicted) for split in curve.splits}) != 1 or curve.ids is None:
        raise UserError(
            f"the probes of {', '.join(curve.names.values())} have no statements, or other layers in each split; "
            "delete their file and run again."
        )
    shape = (len(curve.splits[0].predicted), len(curve.labels))
    times, right, total = np.zeros(shape[1], int), np.zeros(shape, np.uint8), np.zeros(shape)
    for split in curve.splits:
        assert split.decision is not None
        times[split.test] += 1
        right[:, split.test] += split.predicted == curve.labels[split.test]
        total[:, split.test] += split.decision
    tested = np.flatnonzero(times)
    mean = total[:, tested] / times[tested]
    scale = np.nan_to_num(np.abs(mean).max(axis=1, initial=0), nan=0, posinf=0)
    share = np.divide(mean, scale[:, None], out=np.zeros_like(mean), where=scale[:, None] > 0)
    decision = np.round(LARGEST * share).astype(np.int8)
    return HeldOut(tuple(curve.ids[tested]), times[tested], right[:, tested], decision, scale)


def packed(tested: HeldOut, places: Mapping[str, int], layers: Sequence[int], *, decisions: bool) -> dict[str, Any]:
    """Return the statements of a curve for JSON; ``places`` has the place of each statement in those of its dataset.

    Of layers only ``layers`` are kept, and decisions only if they are asked for.
    """
    rows = list(layers)
    return {
        "tested": [places[name] for name in tested.ids],
        "n_tested": tested.n_tested.tolist(),
        "layers": rows,
        "right": _base64(tested.right[rows]),
        "decision": _base64(tested.decision[rows]) if decisions else None,
        "scale": [float(f"{scale:.6g}") for scale in tested.scale[rows]],
    }


def _base64(numbers: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")


def statements_of(
    name: str, rows: Sequence[Row], tested: Iterable[HeldOut], *, licence: str, show_texts: bool
) -> dict[str, Any]:
    """Return the statements of a dataset that were tested, in its order; texts and groups only if they may be shown.

    ``rows`` is what `conceptdepth.datasets.rows.read_statements` returns. Raises `UserError` for probes of other
    statements.
    """
    wanted = set().union(*(one.ids for one in tested))
    if missing := wanted - {row["id"] for row in rows}:
        raise UserError(f"{name} has no statement {min(missing)!r}, of which its probes say something; run again.")
    chosen = [row for row in rows if row["id"] in wanted]
    return {
        "ids": [row["id"] for row in chosen],
        "groups": [row["group"] for row in chosen] if show_texts else list(_numbered(chosen)),
        "labels": [row["label"] for row in chosen],
        "texts": [shortened(row["text"]) for row in chosen] if show_texts else None,
        "note": _note(name, licence, chosen, show_texts=show_texts),
    }


def shortened(text: str) -> str:
    """Return a text of at most `MOST_CHARACTERS` and a mark where it was cut."""
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS].rstrip() + " …"


def _numbered(rows: Iterable[Row]) -> Iterator[str]:
    """Give the number of each statement's group, as its name may be a part of the text."""
    numbers: dict[str, int] = {}
    for row in rows:
        yield str(numbers.setdefault(row["group"], len(numbers) + 1))


def _note(name: str, licence: str, rows: Sequence[Row], *, show_texts: bool) -> str:
    if not show_texts:
        return (
            f"Texts are left out, as their licence ({licence}) may forbid to pass them on. If it allows that, "
            f"`datasets: {{{name}: {{show_texts: true}}}}` in the configuration shows them."
        )
    cut = any(len(row["text"]) > MOST_CHARACTERS for row in rows)
    return f"Licence of the texts: {licence}." + (f" They are cut to {MOST_CHARACTERS} characters." if cut else "")
