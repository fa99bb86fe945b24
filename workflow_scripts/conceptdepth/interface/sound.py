"""Whether a card of exported probes says what an export would: a seal keeps no stranger from writing another."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from conceptdepth.datasets.prompts import around
from conceptdepth.ground.names import CONCEPT, EMBEDDING, PARTIAL_OUT
from conceptdepth.ground.shapes import fits
from conceptdepth.models.positions import POSITIONS
from conceptdepth.models.sites import SITES
from conceptdepth.probes.tasks import CONTROLS

LINEAR = ("logistic_regression", "mass_mean", "ridge")
"""Probes that have a direction, of `conceptdepth.probes.estimators.KINDS`."""

ALLOWED = {
    "site": (*SITES, EMBEDDING),
    "position": tuple(POSITIONS),
    "probe": LINEAR,
    "target": (CONCEPT, PARTIAL_OUT, *CONTROLS),
}

MOST_TOKENS = 2**24
"""Of ``activations.fixed_batch_tokens``, as in the schema of the configuration."""

MOST_LETTERS = 200
"""Of a name that errors show."""

NOT_SHOWN = ("Cc", "Cs")
"""Categories of characters that a terminal obeys, or that are none."""


def unsound(card: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a card that has the shape of one, in the words of an error, or None."""
    return next(_faults(card), None)


def _faults(card: Mapping[str, Any]) -> Iterator[str]:
    model, wording = card["model"], card["rendering"]
    shown = [*card["cell"].values(), *card["dataset"]["classes"], model["weights"], *model["files"]]
    if any(map(_unshown, [*shown, card["origin"]["record"], model.get("tokenizer", "")])):
        yield f"a name has characters that cannot be shown, or more than {MOST_LETTERS}"
    if len(card["dataset"]["classes"]) != 2:
        yield "there are not two classes"
    if min(model["n_layers"], model["d_model"]) < 1:
        yield "the model has no layers or no width"
    if not 1 <= (model["fixed_batch_tokens"] or 1) <= MOST_TOKENS or model["fixed_batch_tokens"] == 0:
        yield f"model.fixed_batch_tokens is neither null nor from 1 to {MOST_TOKENS}"
    if not _is_template(wording["template"]):
        yield "rendering.template cannot be put around a text"
    if not _is_perturbation(wording["perturbation"]):
        yield "rendering.perturbation has more than texts to `prepend` and a `seed`"
    if not _is_chat(wording["chat"]):
        yield "rendering.chat has more than `chat`, `system` and `prefill`"
    if not card["curves"]:
        yield "there are no curves"
    for number, curve in enumerate(card["curves"]):
        yield from (f"curves, number {number}: {fault}" for fault in _faults_of_curve(curve, model["n_layers"]))


def _faults_of_curve(curve: Mapping[str, Any], n_layers: int) -> Iterator[str]:
    for name, allowed in ALLOWED.items():
        if curve[name] not in allowed:
            yield f"the {name} is none of {', '.join(allowed)}"
    layers = 1 if curve["site"] == EMBEDDING else n_layers
    by_seed = curve["accuracy_by_seed"]
    if not curve["seeds"] or len(by_seed) != len(curve["seeds"]) or by_seed.keys() != set(map(str, curve["seeds"])):
        yield "the seeds are not those of `accuracy_by_seed`"
    shares = [curve["accuracy"], *by_seed.values(), curve["low"], curve["high"]]
    if any(len(each) != layers for each in shares) or not 0 <= curve["peak_layer"] < layers:
        yield "it has not a number for each layer"
    bounds = [value for name in ("low", "high") for value in curve[name] if value is not None]
    if not all(0 <= value <= 1 for each in (*shares[:-2], bounds) for value in each):
        yield "an accuracy is not from 0 to 1"


def _is_template(template: Mapping[str, str]) -> bool:
    try:
        around(**template)
    except (TypeError, ValueError):
        return False
    return all(map(_is_text, template.values()))


def _is_perturbation(own: Mapping[str, Any]) -> bool:
    known = fits({"prepend": [], "seed": 0, **own}, {"prepend": [str], "seed": int}) and own.keys() <= {
        "prepend",
        "seed",
    }
    return known and all(map(_is_text, own.get("prepend", [])))


def _is_chat(chat: Mapping[str, Any]) -> bool:
    texts: Sequence[Any] = [value for key, value in chat.items() if key != "chat"]
    known = chat.keys() <= {"chat", "system", "prefill"} and chat.get("chat", not chat) is True
    return known and all(isinstance(text, str) and _is_text(text) for text in texts)


def _is_text(text: str) -> bool:
    """Tell whether a text is one that a model can be given."""
    return not any(unicodedata.category(letter) == "Cs" for letter in text)


def _unshown(name: object) -> bool:
    if not isinstance(name, str) or len(name) > MOST_LETTERS:
        return True
    return any(unicodedata.category(letter) in NOT_SHOWN for letter in name)
