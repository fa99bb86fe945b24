"""Prompts are counted as a model reads them: with the template, each perturbation and the cue for answers."""

import logging
from pathlib import Path

import pytest
from conceptdepth.datasets.too_long import read_too_long
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.jsonl import write_jsonl
from find_long_statements import find_long_statements, readers_of
from tiny_model import save_tiny_model

TEMPLATE = {"layout": "prompt_first", "prompt": "judge ."}  # Two tokens; the texts below have as many as their ids say.
PERTURBATIONS = {"clean": {"prepend": []}, "noise": {"prepend": ["up ? "], "seed": 0}}  # Two more.
CUE = "true ?"  # Two more.
CHAT_TEMPLATE = "{{ bos_token }}{% for one in messages %} {{ one.content }}{% endfor %}{% if add_generation_prompt %} is is is{% endif %}"


@pytest.fixture
def found(tmp_path):
    """A function that gives what is too long for models that take so many tokens, by their names."""

    def find(*, lengths=(8, 9, 10, 11, 12, 13), template=TEMPLATE, perturbations=PERTURBATIONS, **models):
        rows = [
            {"id": str(n), "text": " ".join(["oslo"] * n), "label": place % 2, "group": str(n)}
            for place, n in enumerate(lengths)
        ]
        write_jsonl(tmp_path / "statements.jsonl", rows)
        described = [description(tmp_path / name, most) for name, most in models.items()]
        find_long_statements(
            "d",
            statements=str(tmp_path / "statements.jsonl"),
            template=template,
            instruction="declared",
            perturbations=perturbations,
            cue=CUE,
            readers=list(readers_of(described, {name: {} for name in models})),
            destination=str(tmp_path / "table.csv"),
        )
        return [
            (one.id, one.model, one.perturbation, one.tokens, one.allowed)
            for one in read_too_long(tmp_path / "table.csv")
        ]

    return find


def description(folder: Path, most_tokens: int) -> str:
    """Save a tiny model and return the path of its ``model.json``."""
    save_tiny_model(folder / "weights", most_tokens=most_tokens)
    if folder.name != "base":
        (folder / "weights/chat_template.jinja").write_text(CHAT_TEMPLATE)
    (folder / "model.json").write_text(
        f'{{"source": {{}}, "files": {{}}, "where": {{"folder": "{folder / "weights"}"}}}}'
    )
    return str(folder / "model.json")


def test_a_row_for_each_prompt_that_is_too_long_with_perturbation_and_cue(found, caplog):
    caplog.set_level(logging.INFO)
    assert found(tiny=16) == [
        ("11", "tiny", "noise", 11 + 2 + 2 + 2, 16),
        ("12", "tiny", "noise", 18, 16),
        ("13", "tiny", "clean", 13 + 2 + 2, 16),
        ("13", "tiny", "noise", 19, 16),
    ]
    assert (
        "3 of 6 statements are left out as too long for tiny (at most 16 tokens): 1 of class 0 and 2 of class 1"
        in caplog.text
    )


def test_each_model_has_its_own_limit(found):
    assert found(tiny=17, narrow=16) == [
        ("11", "narrow", "noise", 17, 16),
        ("12", "tiny", "noise", 18, 17),
        ("12", "narrow", "noise", 18, 16),
        ("13", "narrow", "clean", 17, 16),
        ("13", "tiny", "noise", 19, 17),
        ("13", "narrow", "noise", 19, 16),
    ]


def test_the_template_counts(found):
    longer = {"layout": "text_between", "prompt": "judge . ", "cue": "true ?"}
    assert {row[0] for row in found(tiny=18)} == {"13"}
    assert {row[0] for row in found(tiny=18, template=longer)} == {"11", "12", "13"}


def test_a_table_of_nothing_has_its_header(found, tmp_path):
    assert found(tiny=19) == []
    assert (tmp_path / "table.csv").read_text() == "id,model,perturbation,tokens,allowed\n"


def test_a_class_that_would_be_empty_is_an_error_and_writes_nothing(found, tmp_path):
    with pytest.raises(
        UserError, match="datasets.d: each statement of class 1 is too long .* '20' has 24 tokens, and tiny"
    ):
        found(tiny=16, lengths=(8, 20))
    assert not (tmp_path / "table.csv").exists()


def test_a_model_without_a_limit_takes_everything(tmp_path, monkeypatch):
    monkeypatch.setattr("find_long_statements.most_tokens", lambda config: None)
    assert list(readers_of([description(tmp_path / "tiny", 16)], {"tiny": {}})) == []


@pytest.mark.parametrize(
    ("chat", "more"),
    [
        ({}, 1 + 3),  # What begins an answer is longer than the cue that takes its place.
        ({"system": "the coin"}, 1 + 2 + 3),
        ({"prefill": "it is"}, 1 + 2 + 2),
    ],
    ids=["alone", "system", "prefill"],
)
def test_the_chat_template_counts(found, chat, more):
    perturbations = {"clean": {}, "chat": {"chat": True, **chat}}
    rows = found(tiny=15, lengths=(4, 5, 8, 9, 10, 13, 14, 15), perturbations=perturbations)
    assert [row for row in rows if row[2] == "clean"] == [
        (str(n), "tiny", "clean", n + 2 + 2, 15) for n in (13, 14, 15)
    ]
    assert {row[0]: row[3] for row in rows if row[2] == "chat"} == {
        str(n): n + 2 + more for n in (4, 5, 8, 9, 10, 13, 14, 15) if n + 2 + more > 15
    }


def test_the_wording_of_a_rendering_counts(found):
    rows = found(tiny=15, perturbations={"clean": {}, "long": {"template": {"prompt": "judge . judge ."}}})
    assert {row[0] for row in rows if row[2] == "clean"} == {"12", "13"}
    assert {row[0] for row in rows if row[2] == "long"} == {"10", "11", "12", "13"}


def test_a_model_without_a_chat_template_is_told_in_a_sentence(found):
    with pytest.raises(UserError, match=r"^models.base has no chat template, which perturbations.asked asks for"):
        found(base=16, perturbations={"asked": {"chat": True}})
