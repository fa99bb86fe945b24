"""A cell of a chat is the cell of the texts that its template makes; what it needs travels as plain values."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from conceptdepth.activations.answer_cell import AnswerCell
from conceptdepth.activations.cell import Cell
from conceptdepth.activations.store import open_activations
from conceptdepth.ground.errors import UserError
from conceptdepth.models.fetch import fetch_model
from conceptdepth.models.loaded import LoadedModels
from tiny_model import save_tiny_model

TEMPLATE = (
    "{{ bos_token }}{% for one in messages %} {% if one.role == 'system' %}judge {{ one.content }} ."
    "{% else %}{{ one.content }}{% endif %}{% endfor %}{% if add_generation_prompt %} ?{% endif %}"
)
PROMPTS = ["the city of oslo is in norway", "the coin is heads up", "lima is in peru ."]
CUE = "statement"


@pytest.fixture(scope="module")
def models():
    return LoadedModels()


@pytest.fixture(scope="module")
def made(tmp_path_factory, models):
    """A function that does the work of a request on prompts and gives the file that it wrote."""
    folder = tmp_path_factory.mktemp("chats")
    for name in ("tuned", "base"):
        weights = save_tiny_model(folder / name)
        if name == "tuned":
            (weights / "chat_template.jinja").write_text(TEMPLATE)
        fetch_model(name, {"path": str(weights)}, folder / f"{name}.json", None)

    def make(kind, prompts, *, model="tuned", texts=None, **given):
        rows = [
            {"id": str(n), "prompt": prompt, "label": n % 2, "group": str(n), "text_at": at}
            for n, (prompt, at) in enumerate(zip(prompts, texts or [[0, len(prompt)] for prompt in prompts]))
        ]
        (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        request = kind(
            model=str(folder / f"{model}.json"), name=model, quantization="fp32", prompts=str(folder / "prompts.jsonl"),
            batch_tokens=64, fixed_batch_tokens=False, device="cpu", threads=1, destination=str(folder / "out"), **given,
        )  # fmt: skip
        kind(**json.loads(json.dumps(asdict(request)))).carry_out(models)
        return folder / "out"

    return make


def vectors(path):
    with open_activations(path) as file:
        return file["activations/residual/last"][...], file["n_tokens"][:].tolist()


@pytest.fixture
def cell(made):
    return lambda prompts, **given: vectors(made(Cell, prompts, sites=["residual"], record="f" * 64, **given))


@pytest.mark.parametrize(
    ("chat", "before", "after"),
    [
        ({"chat": True}, "<s> ", " ?"),
        ({"chat": True, "system": "true or false"}, "<s> judge true or false . ", " ?"),
        ({"chat": True, "prefill": "the statement is"}, "<s> ", " the statement is"),
    ],
    ids=["alone", "system", "prefill"],
)
def test_activations_of_a_chat_are_those_of_its_text(cell, chat, before, after):
    found, n_tokens = cell(PROMPTS, chat=chat, rendering="asked")
    expected, expected_tokens = cell([f"{before}{prompt}{after}" for prompt in PROMPTS])
    np.testing.assert_array_equal(found, expected)
    assert n_tokens == expected_tokens == [len(f"{before}{prompt}{after}".split()) for prompt in PROMPTS]


POSITIONS = ["last", "text_last", "text_mean", "prompt_mean"]


def test_positions_of_a_chat_are_those_of_the_statement_in_its_text(made):
    """Whatever the template puts around the message, and the rendering around the statement."""
    given = {"sites": ["residual"], "positions": POSITIONS, "record": "f" * 64}
    texts = [[prompt.index(" ") + 1, prompt.rindex(" ")] for prompt in PROMPTS]
    chat = {"chat": True, "system": "true or false", "prefill": "the statement is"}
    before, after = "<s> judge true or false . ", " the statement is"
    with open_activations(made(Cell, PROMPTS, texts=texts, chat=chat, rendering="asked", **given)) as file:
        found = {position: file["activations/residual"][position][...] for position in POSITIONS}
        places = {position: file["places"][position][...].tolist() for position in POSITIONS}
    shifted = [[len(before) + start, len(before) + end] for start, end in texts]
    whole = [f"{before}{prompt}{after}" for prompt in PROMPTS]
    with open_activations(made(Cell, whole, texts=shifted, **given)) as file:
        for position in POSITIONS:
            np.testing.assert_array_equal(found[position], file["activations/residual"][position])
            assert places[position] == file["places"][position][...].tolist()
    for text, (start, end), (first, past), (last, _) in zip(whole, shifted, places["text_mean"], places["text_last"]):
        assert text.split()[first:past] == text[start:end].split()
        assert last == past - 1
    assert [first for first, _ in places["prompt_mean"]] == [1] * len(PROMPTS), "<s> stands for no text"


def test_without_a_chat_prompts_are_read_as_they_are(cell):
    (plain, _), (empty, _), (chat, _) = cell(PROMPTS), cell(PROMPTS, chat={}), cell(PROMPTS, chat={"chat": True})
    np.testing.assert_array_equal(plain, empty)
    assert not np.array_equal(plain, chat)


@pytest.mark.parametrize(
    ("chat", "as_text"),
    [({"chat": True}, "<s> {}"), ({"chat": True, "prefill": "in norway"}, "<s> {} in norway")],
    ids=["alone", "prefill"],
)
def test_the_cue_for_an_answer_stands_at_its_beginning(made, tmp_path, chat, as_text):
    lens = str(tmp_path / "lens.csv")

    def ask(prompts, **given):
        names = {"model": "tuned", "quantization": "fp32", "dataset": "d", "perturbation": "p"}
        return pd.read_csv(made(AnswerCell, prompts, words=["true", "false"], cue=CUE, cell=names, lens=lens, **given))

    found = ask(PROMPTS, chat=chat, rendering="asked")
    expected = ask([as_text.format(prompt) for prompt in PROMPTS])
    pd.testing.assert_frame_equal(found, expected)
    assert not found["log_odds"].equals(ask(PROMPTS)["log_odds"])


def test_a_model_without_a_template_is_told_in_a_sentence(cell):
    with pytest.raises(
        UserError, match=r"^models.base has no chat template, which perturbations.asked asks for; leave asked"
    ):
        cell(PROMPTS, model="base", chat={"chat": True}, rendering="asked")
