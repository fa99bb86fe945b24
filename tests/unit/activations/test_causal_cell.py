"""Which tokens of a prompt are changed once a cue follows it: those that the probe reads without one."""

import numpy as np
import pytest
from conceptdepth.activations.causal_cell import CausalCell
from conceptdepth.activations.changes import Changes
from conceptdepth.ground.errors import UserError
from conceptdepth.models.tokens import Tokenized

FIELDS = {
    "model": "model.json", "name": "tiny", "quantization": "fp32", "device": "cpu", "prompts": "prompts.jsonl", "batch_tokens": 100,
    "fixed_batch_tokens": False, "threads": 1, "destination": "effects.h5", "cell": {}, "changes": "changes.h5", "words": ["no", "yes"],
    "neutral": ["Once"], "record": "1",
}  # fmt: skip

ROWS = [{"prompt": "Is it?", "label": 0, "text_at": [0, 2]}, {"prompt": "So it is.", "label": 1, "text_at": [3, 8]}]


class StubModel:
    """A token for each character, but one for a full stop and the line feed after it."""

    name = "tiny"

    def tokenized(self, texts, *_, **__):
        return [Letters(self.ids(text), [0] * len(text), set(), None) for text in texts]

    def tokens(self, texts, *_, **__):
        return [self.ids(text) for text in texts]

    @staticmethod
    def ids(text):
        return list(map(ord, text.replace(".\n", "\0")))


class Letters(Tokenized):
    """Tokens that stand for one character each."""

    @property
    def characters(self):
        return np.array([(place, place + 1) for place in range(len(self.ids))])


def changes(position, n):
    nothing = np.zeros((1, 1, 1, 4), np.float32)
    return Changes(
        nothing, nothing, nothing[..., :2], np.array([0], np.int32), ["erase"], ["concept"], np.arange(n, dtype=np.int32),
        np.zeros(n, np.int32), position,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("position", "places"), [("last", [[5], [8]]), ("text_last", [[1], [7]]), ("text_mean", [[0, 1], [3, 4, 5, 6, 7]])]
)
def test_those_that_are_read_are_changed_and_the_cue_follows(position, places):
    asked = CausalCell(**FIELDS, cue="A:")._asked(
        StubModel(), [ROWS[0], ROWS[1] | {"prompt": "So it is!"}], changes(position, 2)
    )
    assert [each.places.tolist() for each in asked] == places
    assert [each.label for each in asked] == [0, 1]
    assert asked[0].tokens == list(map(ord, "Is it?\nA:"))


def test_a_cue_that_is_read_as_one_with_what_is_changed_is_refused():
    cell = CausalCell(**FIELDS, cue="A:")
    with pytest.raises(UserError, match="with the cue 'A:' behind it the prompt 'So it is.' has other tokens in tiny"):
        cell._asked(StubModel(), ROWS, changes("last", 2))
    assert len(cell._asked(StubModel(), ROWS, changes("text_last", 2))) == 2
