"""What a model itself answers to the prompts of a cell, asked of the worker or in the job."""

import logging
import time
from dataclasses import dataclass
from typing import ClassVar

from conceptdepth.activations.request import Wanted, WorkRequest
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import CONFIDENCE, LAYER
from conceptdepth.models.chat import with_cue
from conceptdepth.models.loaded import LoadedModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AnswerCell(WorkRequest):
    """What is asked, and which two answers count."""

    WRITTEN: ClassVar[tuple[str, ...]] = ("destination", "lens")

    cell: dict[str, str]
    """What names the cell, by `conceptdepth.ground.names.CELL`: the first columns of the table."""
    words: list[str]
    """The answers of class 0 and of class 1."""
    cue: str
    """What stands after each prompt, on a line of its own; in a chat, at the beginning of the answer."""
    lens: str
    """Path of the file of log-odds at each layer."""

    def work(self, model: LoadedModel, wanted: Wanted) -> float:
        """Write a row for each prompt: log-odds of class 1, probability of any answer, whether one comes first; and
        the confidence, the largest probability of any token.

        The file of the lens has the log-odds of each layer, the last of which are the model's own.
        """
        import pandas as pd

        from conceptdepth.activations.answers import answer_tokens, score

        rows = read_prompts(self.prompts)
        with model.tokenizing() as tokenizer:
            said = answer_tokens(tokenizer, self.words, cue=self.cue, dataset=self.cell["dataset"], model=self.name)
            for word, ids in zip(self.words, said):
                log.info("%s is said by %s", word, ", ".join(map(repr, map(tokenizer.decode, ids))))
        prompts, chat = with_cue([row["prompt"] for row in rows], self.chat or {}, self.cue)
        tokens = model.tokens(prompts, chat, rendering=self.rendering)
        test = self.tested(model, tokens, [])
        ready = time.perf_counter()
        with model.passes():
            scores = score(
                model.causal,
                tokens,
                said,
                batch_tokens=self.tokens_of_a_pass(model),
                layout=test.layout,
                fixed=self.fixed_batch_tokens,
                name=self.name,
                wanted=wanted,
            )
        seconds = time.perf_counter() - ready
        named = pd.DataFrame([{**self.cell, "id": row["id"], "label": row["label"]} for row in rows])
        own = named.assign(log_odds=scores.log_odds, mass=scores.mass, answered=scores.answered)
        own[CONFIDENCE] = scores.confidence
        layers = pd.DataFrame({f"{LAYER}{number}": log_odds for number, log_odds in enumerate(scores.lens)})
        lens = named.assign(group=[row["group"] for row in rows]).join(layers)
        for path, table in ((self.destination, own), (self.lens, lens)):
            with complete_file(path) as part:
                table.to_csv(part, index=False)
        log.info("%d prompts in %.1f s", len(rows), seconds)
        return seconds
