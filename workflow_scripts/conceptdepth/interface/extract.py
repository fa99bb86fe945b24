"""Vectors of any texts in every layer of a model: what `extract_activations` does, without files."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from conceptdepth.activations.spots import spot
from conceptdepth.datasets.cells import is_missing, span_of, text_of
from conceptdepth.datasets.prompts import around, render
from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.ground.names import EMBEDDING, LAST
from conceptdepth.interface.extras import needed
from conceptdepth.interface.opened import OpenedModel, open_model
from conceptdepth.interface.vectors import Vectors
from conceptdepth.models.positions import POSITIONS
from conceptdepth.models.sites import SITES

if TYPE_CHECKING:
    from conceptdepth.activations.leaving import Destination

Rows = Sequence[Mapping[str, Any]]
"""Rows as of a file of prompts, see `conceptdepth.datasets.prompts.render`."""

LAYOUTS = ("prompt_first", "text_first", "text_between")

CHAT = ("system", "prefill")


def extract(
    model: OpenedModel | str | Path,
    texts: Iterable[str],
    *,
    sites: Sequence[str] = ("mlp_input",),
    positions: Sequence[str] = (LAST,),
    template: Mapping[str, str] | None = None,
    chat: Mapping[str, str] | bool | None = False,
    ids: Iterable[str] | None = None,
    labels: Iterable[int] | None = None,
    groups: Iterable[str] | None = None,
    spans: Iterable[str] | None = None,
) -> Vectors:
    """Return the vectors of texts in every layer of a model, float32, in memory: 4 bytes for each number.

    ``model`` is one that `open_model` gave, or what that takes, opened for this call alone. ``sites`` and ``positions``
    are those of ``activations`` in the configuration; the embedding comes with any. ``template`` (``layout``,
    ``prompt``, ``cue``) is put around each text, as a dataset's is; None reads the texts as they are. ``chat`` makes
    each of that a message of a user in the model's own chat template: True, or a mapping with ``system`` or
    ``prefill``. ``ids``, ``labels`` and ``groups`` are handed on; ``ids`` are the texts themselves unless given, and a
    group is an id. ``spans`` are the parts of the texts that positions such as ``span_last`` read. What there is one of
    for each text goes by its place: the index of a column of pandas counts for nothing. Raises `UserError` for what the
    workflow refuses.
    """
    needed("torch", "models")
    wording, asked = _template(template), _chat(chat)
    statements = statements_of(texts, ids=ids, groups=groups, spans=spans)
    rows = [render(row, wording, {}) if wording else _as_it_is(row) for row in statements]
    if isinstance(model, OpenedModel):
        found = vectors_of_rows(model, rows, sites=sites, positions=positions, chat=asked)
    else:
        with open_model(model) as opened:
            found = vectors_of_rows(opened, rows, sites=sites, positions=positions, chat=asked)
    return _labelled(found, labels, named=groups is not None)


def vectors_of_rows(
    model: OpenedModel,
    rows: Rows,
    *,
    sites: Sequence[str],
    positions: Sequence[str],
    chat: Mapping[str, Any],
    rendering: str = "chat",
    **passes: Any,
) -> Vectors:
    """Return the vectors of prompts, with the groups of their rows.

    ``rendering`` is what errors call the chat; ``passes`` may set ``batch_tokens`` and ``fixed_batch_tokens``.
    """
    from conceptdepth.activations.request import always

    for kind, names, known in (("sites", sites, (*SITES, EMBEDDING)), ("positions", positions, tuple(POSITIONS))):
        if not names or isinstance(names, str) or (unknown := [name for name in names if name not in known]):
            wrong = repr(names) if isinstance(names, str) or not names else repr(unknown[0])
            raise UserError(f"{kind}: {wrong} is no list of what exists; it may have {one_of(known)}.")
    by_span = [position for position in positions if position.startswith("span_")]
    if by_span and not all("span_at" in row for row in rows):
        raise UserError(f"positions: {by_span[0]} reads a part of each text; give `spans`, one for each.")
    cell = model.cell(
        sites=[site for site in dict.fromkeys(sites) if site != EMBEDDING],  # It is read in any case.
        positions=list(dict.fromkeys(positions)),
        chat=dict(chat),
        rendering=rendering,
        **passes,
    )
    loaded = model.loaded
    prepared = cell.prepared(loaded, rows)
    same = prepared.probed.first_alike
    size = (len(rows), prepared.d_model)
    layers = dict.fromkeys(cell.sites, prepared.n_layers) | {EMBEDDING: 1}
    into: dict[str, Destination] = {
        spot(site, position): np.full((n_layers, *size), np.nan, np.float32)
        for (site, n_layers), position in itertools.product(layers.items(), dict.fromkeys(same.values()))
    }
    with loaded.passes():
        cell.extract(loaded, prepared, into, always)
    for name, array in into.items():
        if np.isnan(np.asarray(array)[..., 0]).any():
            raise ValueError(f"{name} lacks vectors")
    return Vectors(
        arrays={(site, position): into[spot(site, same[position])] for site in cell.sites for position in same},
        embedding={position: into[spot(EMBEDDING, own)] for position, own in same.items()},
        ids=np.array([row["id"] for row in rows], dtype=object),
        n_tokens=np.array(prepared.n_tokens, dtype=np.int32),
        groups=np.array([row["group"] for row in rows], dtype=object),
    )


def statements_of(
    texts: Iterable[str],
    *,
    ids: Iterable[str] | None = None,
    groups: Iterable[str] | None = None,
    spans: Iterable[str] | None = None,
) -> list[dict[str, Any]]:
    """Return texts as rows of statements, of class 0. Raises `UserError` for a text that a dataset could not have."""
    read = list(texts) if pd.api.types.is_list_like(texts, allow_sets=False) else []
    if not read:
        raise UserError("texts: give a list of at least one text.")
    own_ids, own_groups, own_spans = (
        None if values is None else one_of_each(name, values, len(read))
        for name, values in (("ids", ids), ("groups", groups), ("spans", spans))
    )
    for name, named in (("ids", own_ids), ("groups", own_groups)):
        for number, value in enumerate(named or ()):
            if is_missing(value) or (pd.api.types.is_scalar(value) and pd.isna(value)):
                raise UserError(f"{name}: number {number} is missing; give one for each text.")
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(read):
        try:
            row: dict[str, Any] = {"text": text_of(text), "label": 0}
            row["id"] = str(text) if own_ids is None else str(own_ids[number])
            row["group"] = row["id"] if own_groups is None else str(own_groups[number])
            rows.append(row | ({} if own_spans is None else {"span": span_of(own_spans[number], text)}))
        except UserError as error:
            raise UserError(f"texts, number {number}: {error}.") from None
    return rows


def one_of_each(name: str, values: Iterable[Any], n: int) -> list[Any]:
    """Return what is given for each of n texts, by its place. Raises `UserError` if it is no list of so many."""
    if not pd.api.types.is_list_like(values, allow_sets=False) or isinstance(values, Mapping):
        raise UserError(f"{name}: {values!r} is no list; give one for each of the {n} texts.")
    found = list(values)
    if len(found) != n:
        raise UserError(f"{name}: there are {len(found)} for {n} texts; give one for each.")
    return found


def _as_it_is(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the prompt row of a statement that nothing is put around."""
    text, span = row["text"], row.get("span")
    where = {} if span is None else {"span_at": [text.index(span), text.index(span) + len(span)]}
    return {"id": row["id"], "prompt": text, "label": 0, "group": row["group"], "text_at": [0, len(text)], **where}


def _template(template: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return a template that can be rendered, or None. Raises `UserError` if it cannot."""
    if template is None:
        return None
    try:
        around(**template)
        if not all(isinstance(words, str) for words in template.values()):
            raise TypeError("words are text")
    except (TypeError, ValueError):
        raise UserError(
            f"template: {template!r} is none; it has a `layout` ({one_of(LAYOUTS)}), a `prompt` and perhaps a `cue`."
        ) from None
    return template


def _chat(chat: Mapping[str, str] | bool | None) -> dict[str, Any]:
    """Return what a rendering would say of a chat."""
    if chat is None or isinstance(chat, bool | np.bool_):
        return {"chat": True} if chat else {}
    if not isinstance(chat, Mapping) or not all(isinstance(words, str) for words in chat.values()):
        raise UserError(f"chat: {chat!r} is none; give True, False, or a mapping with texts for {one_of(CHAT)}.")
    if unknown := [key for key in chat if key not in CHAT]:
        raise UserError(f"chat: {unknown[0]!r} does not exist; it may have {one_of(CHAT)}.")
    return {"chat": True, **chat}


def _labelled(found: Vectors, labels: Iterable[int] | None, *, named: bool) -> Vectors:
    """Return vectors with labels, and without groups that nobody named."""
    classes: NDArray[np.int8] | None = None
    if labels is not None:
        given = one_of_each("labels", labels, len(found.ids))
        if not np.isin(given, (0, 1)).all():
            raise UserError(f"labels: give 0 or 1 for each of the {len(found.ids)} texts.")
        classes = np.asarray(given, dtype=np.int8)
    return Vectors(
        arrays=found.arrays,
        embedding=found.embedding,
        ids=found.ids,
        n_tokens=found.n_tokens,
        labels=classes,
        groups=found.groups if named else None,
    )
