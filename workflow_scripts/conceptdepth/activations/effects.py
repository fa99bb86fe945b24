"""What a model answers once its vectors are changed at one layer."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from conceptdepth.activations.above import Above, Branch, Trunk, ways_above
from conceptdepth.activations.answers import by_class
from conceptdepth.activations.changes import Changes
from conceptdepth.activations.layouts import Layout, parts
from conceptdepth.activations.plain import relative
from conceptdepth.activations.self_test import tolerance_of
from conceptdepth.activations.trees import MOST_KEYS
from conceptdepth.ground.errors import NotWanted, UserError
from conceptdepth.models.head import WHOLE_AT_A_TIME, Head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """A prompt whose vectors are changed."""

    tokens: list[int]
    """With the cue for an answer at its end."""
    places: NDArray[np.int64]
    """Numbers of the tokens that are changed, ascending."""
    label: int
    """Class of its statement, 0 or 1."""
    split: int
    """Which split's changes are made."""


@dataclass(frozen=True)
class Answers:
    """What is said to each prompt, first as it is, then changed."""

    log_odds: Numbers
    """Of class 1's answer over that of class 0's, as it is, shape (n_prompts,)."""
    mass: Numbers
    """Probability of any of the answers, shape (n_prompts,)."""
    changed_log_odds: Numbers
    """Shape (n_layers, n_changes, n_prompts)."""
    changed_mass: Numbers
    """After changes along the concept, shape (n_layers, n_changes_of_concept, n_prompts)."""
    divergence: Numbers
    """Kullback and Leibler's, in nats, of the distribution of the next token after a change from that before: the mean
    over neutral prompts, whose last token is changed as those of the first split, shape (n_layers, n_changes)."""


class Asking:
    """A model that is asked with its vectors changed."""

    def __init__(
        self,
        causal: "PreTrainedModel",
        body: "PreTrainedModel",
        changes: Changes,
        answers: Sequence[Sequence[int]],
        *,
        batch_tokens: int,
        layout: Layout,
        name: str,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare a model; arguments but ``changes`` are those of `conceptdepth.activations.answers.score`."""
        self._body, self._changes, self._layout = body, changes, layout
        self._sizes, both = [len(tokens) for tokens in answers], [token for tokens in answers for token in tokens]
        self._rows, self._head, self._both = Head(causal, body, both), Head(causal, body), both
        self._batch_tokens, self._name, self._wanted = batch_tokens, name, wanted
        self._ways: dict[str, Above] = {}

    def ask(self, asked: Sequence[Asked], neutral: Sequence[list[int]]) -> Answers:
        """Return what the model says. Raises `NotWanted` once nobody waits, and `UserError` for too little memory."""
        try:
            return self._ask(asked, neutral)
        except torch.OutOfMemoryError:
            raise UserError(
                f"{self._name}: memory ran out with passes of {self._batch_tokens} tokens, whose keys and values are "
                "kept; set `execution.batch_tokens` (of int8 `activations.fixed_batch_tokens`) to fewer."
            ) from None

    def _ask(self, asked: Sequence[Asked], neutral: Sequence[list[int]]) -> Answers:
        n, layers, changes = len(asked), len(self._changes.layers), len(self._changes.methods)
        found = Answers(
            log_odds=np.empty(n, np.float32),
            mass=np.empty(n, np.float32),
            changed_log_odds=np.empty((layers, changes, n), np.float32),
            changed_mass=np.empty((layers, len(self._changes.of_concept), n), np.float32),
            divergence=np.empty((layers, changes), np.float32),
        )
        with tqdm(total=n * layers, unit="answer", mininterval=5, delay=5) as bar:
            for way, trunk, prompts, which in self._trunks(asked):
                found.log_odds[which], found.mass[which] = self._log_odds(trunk.last), self._mass(trunk.last)
                for layer in range(layers):
                    for part in self._parts(way, trunk, prompts):
                        ends = way.ends(trunk, *self._changed(trunk, layer, part))
                        numbers, those = (np.array(each) for each in zip(*((e.change, e.prompt) for e in part)))
                        found.changed_log_odds[layer, numbers, which[those]] = self._log_odds(ends)
                        self._keep_mass(found.changed_mass[layer], ends, numbers, which[those])
                    bar.update(len(prompts))
        found.divergence[:] = self._of_neutral(neutral)
        return found

    def _trunks(self, asked: Sequence[Asked]) -> Iterator[tuple[Above, Trunk, list[Asked], NDArray[np.int64]]]:
        """Yield prompts that went through the model, their numbers, and how to go on: the fastest way that is exact."""
        for layout, those in parts(self._layout, self._body, [each.tokens for each in asked]):
            way = self._way(layout, [asked[index] for index in those])
            for trunk in way.trunks([asked[index].tokens for index in those], self._batch_tokens):
                which = those[trunk.prompts]
                yield way, trunk, [asked[index] for index in which], which

    def _way(self, layout: Layout, asked: Sequence[Asked]) -> Above:
        """Return the way to run a layout; those of the first prompts that have it are tested."""
        if layout.name not in self._ways:
            way, *others = ways_above(layout, self._body, self._changes.layers.tolist(), self._name)
            if others and not self._is_exact(way, others[0], asked):
                log.info("keys and values cannot be kept; running whole prompts")
                way = others[0]
            self._ways[layout.name] = way
        return self._ways[layout.name]

    def _is_exact(self, way: Above, reference: Above, asked: Sequence[Asked]) -> bool:
        """Tell whether the shortest and the longest prompt give what whole ones do, changed at the lowest layer."""
        by_length, layer = sorted(asked, key=lambda each: len(each.tokens)), int(self._changes.layers[0])
        few = [by_length[0], by_length[-1]]
        for trunk in way.trunks([each.tokens for each in few], self._batch_tokens):
            branches = [Branch(place, int(few[index].places[0])) for place, index in enumerate(trunk.prompts)]
            states = 2 * trunk.outputs[layer][torch.from_numpy(trunk.rows(branches))]
            ends = (each.ends(trunk, layer, branches, states).float().cpu().numpy() for each in (way, reference))
            if not (relative(*ends) <= tolerance_of(self._body)).all():
                return False
        return True

    def _parts(self, way: Above, trunk: Trunk, prompts: Sequence[Asked]) -> Iterator[list["_Ending"]]:
        """Yield all changes of all prompts, as many at a time as fit in a pass, or one."""
        part, tokens, keys, most = list[_Ending](), 0, 0, way.most(self._batch_tokens)
        for place, asked in enumerate(prompts):
            size, seen = way.size(trunk, Branch(place, int(asked.places[0]))), len(asked.tokens)
            for change in range(len(self._changes.methods)):
                if part and (tokens + size > most or keys + seen > MOST_KEYS):
                    yield part
                    part, tokens, keys = [], 0, 0
                part.append(_Ending(place, int(asked.places[0]), change, asked))
                tokens, keys = tokens + size, keys + seen
        yield part

    def _changed(
        self, trunk: Trunk, layer: int, part: Sequence["_Ending"]
    ) -> tuple[int, Sequence[Branch], torch.Tensor]:
        """Return what else `Above.ends` takes: states of the tokens of a part, of which some are changed."""
        if not self._wanted():
            raise NotWanted
        number, changes = int(self._changes.layers[layer]), self._changes
        states = trunk.outputs[number][torch.from_numpy(trunk.rows(part))]
        lengths = [len(each.asked.tokens) - each.first for each in part]
        starts = np.cumsum([0, *lengths[:-1]])
        rows = np.concatenate([start + each.asked.places - each.first for start, each in zip(starts, part)])
        of = np.repeat(np.arange(len(part)), [len(each.asked.places) for each in part])
        which = (layer, np.array([each.asked.split for each in part]), np.array([each.change for each in part]))
        at = changes.at[(*which, np.array([each.asked.label for each in part]))]
        read, write, far = (
            torch.from_numpy(values).to(states.device) for values in (changes.read[which], changes.write[which], at)
        )
        own = states[rows].float()
        along = (own * read[of]).sum(dim=1) - far[of]
        states = states.clone()
        states[rows] = (own - along[:, None] * write[of]).to(states.dtype)
        return number, part, states

    def _log_odds(self, states: torch.Tensor) -> Numbers:
        classes = by_class(self._rows.logits(states).split(self._sizes, 1))
        return (classes[:, 1] - classes[:, 0]).cpu().numpy()

    def _mass(self, states: torch.Tensor) -> Numbers:
        logs = [self._head.logits(some).log_softmax(1)[:, self._both] for some in states.split(WHOLE_AT_A_TIME)]
        return torch.cat(logs).exp().sum(dim=1).cpu().numpy()

    def _keep_mass(
        self, into: Numbers, ends: torch.Tensor, numbers: NDArray[np.int64], prompts: NDArray[np.int64]
    ) -> None:
        """Put the mass of changes along the concept into (n_changes_of_concept, n_prompts)."""
        own = np.flatnonzero(np.isin(numbers, self._changes.of_concept))
        if len(own):
            into[np.searchsorted(self._changes.of_concept, numbers[own]), prompts[own]] = self._mass(ends[own])

    def _of_neutral(self, neutral: Sequence[list[int]]) -> Numbers:
        """Return the divergence of each change, (n_layers, n_changes)."""
        asked = [Asked(tokens, np.array([len(tokens) - 1]), label=1, split=0) for tokens in neutral]
        found = np.zeros((len(self._changes.layers), len(self._changes.methods)), np.float32)
        for way, trunk, prompts, _ in self._trunks(asked):
            before = self._head.logits(trunk.last).log_softmax(1)
            for layer in range(len(found)):
                for part in self._parts(way, trunk, prompts):
                    ends = way.ends(trunk, *self._changed(trunk, layer, part))
                    for few, states in zip(_few(part), ends.split(WHOLE_AT_A_TIME)):
                        reference = before[[each.prompt for each in few]]
                        after = self._head.logits(states).log_softmax(1)
                        divergences = (reference.exp() * (reference - after)).sum(dim=1).cpu().numpy()
                        np.add.at(found[layer], [each.change for each in few], divergences / len(neutral))
        return found


@dataclass(frozen=True)
class _Ending(Branch):
    """A branch with its change."""

    change: int
    asked: Asked


def _few(part: Sequence[_Ending]) -> Iterator[Sequence[_Ending]]:
    return (part[first : first + WHOLE_AT_A_TIME] for first in range(0, len(part), WHOLE_AT_A_TIME))
