"""What a model answers to the prompts of a cell with its vectors changed, asked of the worker or in the job.

The file, version 1::

    /log_odds           float32 (n_statements,), natural logarithm of the probability of class 1's answer over class 0's
    /mass               float32 (n_statements,), probability of any of the answers
    /changed_log_odds   float32 (n_layers, n_changes, n_statements)
    /changed_mass       float32 (n_layers, n_changes_of_concept, n_statements)
    /divergence         float32 (n_layers, n_changes), nats, of neutral prompts
    /id, /group         UTF-8 strings (n_statements,), /label int8: the statements that were asked
    /layer, /method, /direction, /split as in `conceptdepth.activations.changes`
    attributes          the names of the cell, record: that of the job
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conceptdepth.activations.request import Wanted, WorkRequest
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file
from conceptdepth.models.chat import with_cue
from conceptdepth.models.loaded import LoadedModel
from conceptdepth.provenance.record import PREFIX

if TYPE_CHECKING:
    from conceptdepth.activations.changes import Changes
    from conceptdepth.activations.effects import Answers, Asked

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CausalCell(WorkRequest):
    """What is changed, and what is asked."""

    cell: dict[str, str]
    """What names the cell, by `conceptdepth.ground.names.CELL`."""
    changes: str
    """Path of the file of changes."""
    words: list[str]
    """The answers of class 0 and of class 1."""
    cue: str
    """What stands after each prompt; see `conceptdepth.activations.answer_cell`."""
    neutral: list[str]
    """Texts that have nothing to do with any concept."""
    record: str
    """Id of the job's record."""

    def work(self, model: LoadedModel, wanted: Wanted) -> float:
        """Ask with each change and write the answers; see `WorkRequest.work`."""
        from conceptdepth.activations.answers import answer_tokens
        from conceptdepth.activations.changes import read_changes
        from conceptdepth.activations.effects import Asking

        changes, rows = read_changes(self.changes), read_prompts(self.prompts)
        if changes.statements.max(initial=0) >= len(rows):
            raise UserError(f"{self.changes} is of other statements than {self.prompts}; delete it and run again.")
        rows = [rows[index] for index in changes.statements]
        asked = self._asked(model, rows, changes)
        with model.tokenizing() as tokenizer:
            said = answer_tokens(tokenizer, self.words, cue=self.cue, dataset=self.cell["dataset"], model=self.name)
        test = self.tested(model, [each.tokens for each in asked], [])
        ready = time.perf_counter()
        with model.passes():
            asking = Asking(
                model.causal,
                model.body,
                changes,
                said,
                batch_tokens=self.tokens_of_a_pass(model),
                layout=test.layout,
                name=self.name,
                wanted=wanted,
            )
            answers = asking.ask(asked, model.tokens(self.neutral))
        seconds = time.perf_counter() - ready
        self._write(changes, answers, rows)
        counts = (len(asked), len(changes.layers), len(changes.methods))
        log.info("%d prompts, changed at %d layers in %d ways each, in %.1f s", *counts, seconds)
        return seconds

    def _asked(self, model: LoadedModel, rows: Sequence[dict[str, Any]], changes: "Changes") -> "list[Asked]":
        """Return prompts with the cue, and which of their tokens are changed: those that the probe reads without it."""
        from conceptdepth.activations.effects import Asked
        from conceptdepth.models.positions import probed

        texts = [row["prompt"] for row in rows]
        read = model.tokenized(texts, self.chat, rendering=self.rendering)
        places = probed([changes.position], read, rows).tokens[changes.position]
        cued, chat = with_cue(texts, self.chat or {}, self.cue)
        longer = model.tokens(cued, chat, rendering=self.rendering)
        for row, short, long, own in zip(rows, read, longer, places):
            if long[: own[-1] + 1] != short.ids[: own[-1] + 1]:
                wanted = "leave out the rendering" if self.chat else "set another `answers.cue`"
                raise UserError(
                    f"causal: with the cue {self.cue!r} behind it the prompt {row['prompt']!r} has other tokens in "
                    f"{self.name} where it is probed; {wanted}, or a `causal.position` before its end."
                )
        labels = [row["label"] for row in rows]
        return [
            Asked(tokens, own, label, split)
            for tokens, own, label, split in zip(longer, places, labels, changes.splits)
        ]

    def _write(self, changes: "Changes", answers: "Answers", rows: Sequence[dict[str, Any]]) -> None:
        import h5py

        from conceptdepth.ground.hdf5 import new_hdf5

        with complete_file(self.destination) as part, new_hdf5(part) as file:
            file.attrs.update({**self.cell, "record": PREFIX + self.record})
            for name in ("log_odds", "mass", "changed_log_odds", "changed_mass", "divergence"):
                file.create_dataset(name, data=getattr(answers, name))
            file.create_dataset("label", data=[row["label"] for row in rows], dtype="int8")
            file.create_dataset("layer", data=changes.layers)
            file.create_dataset("split", data=changes.splits)
            words = {key: [str(row[key]) for row in rows] for key in ("id", "group")}
            for name, values in {**words, "method": changes.methods, "direction": changes.directions}.items():
                file.create_dataset(name, data=values, dtype=h5py.string_dtype())
