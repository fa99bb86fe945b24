"""Probes that are loaded from exported folders (`conceptdepth.interface.folders`) and applied to new texts."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from conceptdepth.datasets.prompts import render
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import CONCEPT, EMBEDDING, PARTIAL_OUT, PROBED
from conceptdepth.interface.extract import Rows, statements_of
from conceptdepth.interface.folders import classes_of, read_card, read_weights
from conceptdepth.interface.opened import OpenedModel

if TYPE_CHECKING:
    from conceptdepth.activations.leaving import Destination


@dataclass(frozen=True, kw_only=True, repr=False)
class Probe:
    """A linear probe of one layer, with what it takes to apply it to new texts."""

    direction: NDArray[np.float64]
    """Weights of a vector as the model has it, shape (d_model,)."""
    intercept: float
    layer: int
    """Counted from 0."""
    site: str
    position: str
    probe: str
    """What was trained, such as ``logistic_regression``."""
    target: str
    """``concept``, or a control."""
    seeds: tuple[int, ...]
    """Splits whose probes this is the mean of; one, if one was chosen."""
    classes: tuple[str, str]
    """Names of class 0 and class 1: those of the concept, or for a control that draws its labels ``class 0`` and
    ``class 1``, which mean nothing."""
    accuracy: float
    """Held-out accuracy of the probe of the split of ``seeds``; of several, the mean of that of each split's own probe.
    The mean of several probes has hardly any held-out statements of its own: most were trained on in some split."""
    interval: tuple[float, float] | None
    """Of the mean accuracy, for the whole experiment (docs/depth.md); None if it has none, or a split was chosen."""
    record: str
    """Id of the record of the job that trained it."""
    card: Mapping[str, Any] = field(repr=False)
    """All of ``card.json``."""

    def __repr__(self) -> str:
        return (
            f"Probe({self.probe}, layer {self.layer} of {self.site} at {self.position}, {self.target} of "
            f"{self.card['cell']['dataset']}, accuracy {self.accuracy:.2f})"
        )

    def decide(self, vectors: ArrayLike) -> NDArray[np.float64]:
        """Return what the probe says of vectors of its layer, shape (..., d_model), as (...): above 0 is class 1.

        Log-odds of class 1 for ``logistic_regression``, else distances in units of the probe's own. Raises `UserError`
        if they are of another width, or if the probe was trained on vectors that others have been taken out of.
        """
        values = np.asarray(vectors, dtype=np.float64)
        if values.shape[-1:] != self.direction.shape:
            raise UserError(f"the probe reads {len(self.direction)} numbers of a vector; these have {values.shape}.")
        if self.target == PARTIAL_OUT:
            raise UserError(
                f"{PARTIAL_OUT}: this probe was trained on vectors without what nuisances tell, which new ones cannot "
                "be rid of; its direction alone is of use."
            )
        decided: NDArray[np.float64] = values @ self.direction + self.intercept
        return decided

    def score(
        self,
        texts: Sequence[str],
        model: OpenedModel,
        *,
        ids: Sequence[str] | None = None,
        spans: Sequence[str] | None = None,
    ) -> NDArray[np.float64]:
        """Return what the probe says of new texts, shape (n_texts,); see `decide`.

        Texts are presented as the run presented its statements: template, chat, and what a perturbation puts before a
        text, which it draws by the statement's id. ``ids`` are the texts themselves unless given, so that a text always
        gets the same; give those of the run for its own statements. ``spans`` are what positions such as ``span_last``
        read. Raises `UserError` if the model is not the one that the probe was trained on: `extract` and `decide` apply
        it to another one. Of the vectors only those of the probe's layer are kept, 4 bytes for each number.
        """
        self._check_model(model)
        rows = self._presented(statements_of(texts, ids=ids, spans=spans))
        if self.position.startswith("span_") and spans is None:
            raise UserError(f"{self.position} reads a part of each text; give `spans`, one for each.")
        return self.decide(self._vectors(model, rows))

    def _presented(self, statements: Sequence[Mapping[str, Any]]) -> Rows:
        """Return statements as rows of prompts, as the run presented its own."""
        wording = self.card["rendering"]
        return [render(statement, wording["template"], wording["perturbation"]) for statement in statements]

    def _vectors(self, model: OpenedModel, rows: Rows) -> NDArray[np.float32]:
        """Return the vectors of prompts that the probe reads, (n_prompts, d_model), the same as `extract`'s."""
        from conceptdepth.activations.request import always
        from conceptdepth.activations.spots import spot

        fixed = self.card["model"]["fixed_batch_tokens"]
        # The embedding is read beside a site, and the output of a block is one that every model has.
        site = "residual" if self.site == EMBEDDING else self.site
        cell = model.cell(
            sites=[site],
            positions=[self.position],
            chat=dict(self.card["rendering"]["chat"]),
            rendering=self.card["cell"]["perturbation"],
            **({"batch_tokens": fixed, "fixed_batch_tokens": True} if fixed else {}),
        )
        loaded = model.loaded
        prepared = cell.prepared(loaded, rows)
        kept = _Layer(self.layer, np.full((len(rows), prepared.d_model), np.nan, np.float32))
        into: dict[str, Destination] = {
            spot(site, self.position): _Layer(None, kept.vectors),
            spot(self.site, self.position): kept,
        }
        with loaded.passes():
            cell.extract(loaded, prepared, into, always)
        if np.isnan(kept.vectors).any():
            raise ValueError(f"{self.site} lacks vectors")
        return kept.vectors

    def _check_model(self, model: OpenedModel) -> None:
        own, name = self.card["model"], self.card["cell"]["model"]
        if not isinstance(model, OpenedModel):
            raise UserError(
                f"{model!r} is no opened model; open it with open_model, once for as many texts as you like."
            )
        files = own["files"]
        both = [file for file in files if file in model.files]
        weights = {file for file in {*files, *model.files} if file.endswith(".safetensors")}
        wrong = sorted({*weights.difference(both), *(file for file in both if files[file] != model.files[file])})
        what, tokenizer = None, own.get("tokenizer", "class")
        if model.weights != own["weights"]:
            what = f"the weight format is {model.weights}, and the probe's is {own['weights']}"
        elif (model.n_layers, model.d_model) != (own["n_layers"], own["d_model"]):
            what = f"it has {model.n_layers} layers of {model.d_model} numbers"
        elif wrong:
            what = f"its {wrong[0]} is another"
        elif model.request.tokenizer != tokenizer:
            what = f"it was opened with tokenizer={model.request.tokenizer!r}, and the probe's with {tokenizer!r}"
        if what:
            raise UserError(
                f"{model.name} is not the model of this probe, {name}: {what}; open that one, or apply the probe to "
                "vectors of your own with extract and decide."
            )


@dataclass(frozen=True)
class _Layer:
    """A destination that keeps the vectors of one layer, and forgets the others."""

    layer: int | None
    vectors: NDArray[np.float32]
    """Shape (n_prompts, d_model)."""

    def __setitem__(self, where: tuple[int, NDArray[np.int64]], values: NDArray[np.float32]) -> None:
        if where[0] == self.layer:
            self.vectors[where[1]] = values


def load_probe(
    folder: str | Path,
    *,
    layer: int | None = None,
    site: str | None = None,
    position: str | None = None,
    probe: str | None = None,
    target: str = CONCEPT,
    seed: int | None = None,
) -> Probe:
    """Return a probe of an exported folder, that of one cell.

    Without ``layer`` it is the first one with the highest accuracy on held-out statements, mean over splits, of the
    concept, also for a control; a layer that is chosen so looks better than it is by luck, and the card's
    ``held_out_peak`` has what it is worth on statements that did not choose it. ``site``, ``position`` and ``probe``
    are the first of the run unless given. Without ``seed`` weights and intercepts are the means over the splits, so
    that decisions are the means of the splits' decisions; with one, the probe and the accuracy of that split. Raises
    `UserError` for what is no such folder, or damaged, and for what it does not have.
    """
    card = read_card(folder)
    wanted = dict(zip((*PROBED, "target"), (site, position, probe, target)))
    curves = [
        curve
        for curve in card["curves"]
        if all(value in (None, curve[name]) for name, value in wanted.items())
        and (site is not None or curve["site"] != EMBEDDING)
    ]
    if not curves:
        there = "; ".join(", ".join(curve[name] for name in wanted) for curve in card["curves"])
        raise UserError(f"{folder} has no such probe; it has {there}.")
    curve = curves[0]
    seeds = curve["seeds"] if seed is None else [_whole("seed", seed)]
    number, n_layers = curve["peak_layer"] if layer is None else _whole("layer", layer), len(curve["accuracy"])
    if not set(seeds) <= set(curve["seeds"]) or not 0 <= number < n_layers:
        raise UserError(
            f"{folder} has layers 0 to {n_layers - 1} and seeds {', '.join(map(str, curve['seeds']))} of this probe."
        )
    path = "/".join(curve[name] for name in wanted)
    weights = read_weights(folder, card, [f"{path}/seed_{each}" for each in seeds], n_layers, number)
    accuracies = curve["accuracy"] if seed is None else curve["accuracy_by_seed"][str(seeds[0])]
    interval = (curve["low"][number], curve["high"][number])
    return Probe(
        direction=np.mean([each for each, _ in weights], axis=0),
        intercept=float(np.mean([each for _, each in weights])),
        layer=number,
        **{name: curve[name] for name in wanted},
        seeds=tuple(seeds),
        classes=classes_of(card, curve["target"]),
        accuracy=accuracies[number],
        interval=None if None in interval or seed is not None else interval,
        record=card["origin"]["record"],
        card=card,
    )


def _whole(name: str, value: object) -> int:
    """Return a whole number of any kind. Raises `UserError` for what is none."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise UserError(f"{name}: {value!r} is no whole number; give one, or leave it out.") from None
