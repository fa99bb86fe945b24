"""Statements with a prompt that is too long for a model: the table of them, and prompts without them."""

import logging

import pytest
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.datasets.too_long import TooLong, check_classes, described, parted, read_too_long, write_too_long
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.jsonl import write_jsonl
from render_prompts import render_prompts

STATEMENTS = [{"id": str(n), "text": f"text {n}", "label": n % 2, "group": str(n)} for n in range(6)]
FOUND = [TooLong("1", "narrow", "clean", 21, 16), TooLong("1", "narrow", "noise", 22, 16)]
FOUND += [TooLong("3", "narrow", "noise", 17, 16), TooLong("3", "tiny", "noise", 33, 32)]


@pytest.mark.parametrize(
    "found", [[], FOUND, [TooLong('a, "b"\nc', "tiny", "clean", 9, 8), TooLong("007", "t", "n", 9, 8)]]
)
def test_a_table_is_read_as_it_was_written(tmp_path, found):
    write_too_long(tmp_path / "table.csv", found)
    assert read_too_long(tmp_path / "table.csv") == found
    assert (tmp_path / "table.csv").read_text().startswith("id,model,perturbation,tokens,allowed\n")


def test_a_statement_is_left_out_once_for_whatever_model_and_perturbation():
    kept, left_out = parted(STATEMENTS, FOUND)
    assert [row["id"] for row in kept] == ["0", "2", "4", "5"]
    assert [row["id"] for row in left_out] == ["1", "3"]
    assert described(STATEMENTS, FOUND) == (
        "2 of 6 statements are left out as too long for narrow (at most 16 tokens), tiny (at most 32 tokens): "
        "0 of class 0 and 2 of class 1"
    )
    assert described(STATEMENTS, []) == "0 of 6 statements are left out as too long"


def test_an_empty_class_is_an_error_that_names_the_way_out():
    check_classes("d", STATEMENTS, FOUND)
    with pytest.raises(UserError) as error:
        check_classes("d", STATEMENTS, [*FOUND, TooLong("5", "narrow", "clean", 20, 16)])
    assert str(error.value) == (
        "datasets.d: each statement of class 1 is too long for a model of the run: '3' has 17 tokens, and narrow takes at "
        "most 16; lower `max_words`, shorten the `template`, or leave narrow out of `run.models`."
    )


@pytest.fixture
def rendered(tmp_path):
    """A function that renders the statements, some of them left out, and gives the bytes."""
    write_jsonl(tmp_path / "statements.jsonl", STATEMENTS)

    def render(found):
        if found is not None:
            write_too_long(tmp_path / "table.csv", found)
        render_prompts(
            str(tmp_path / "statements.jsonl"),
            template={"layout": "prompt_first", "prompt": "judge"},
            instruction="declared",
            perturbation={"prepend": ["aaa", "bbb"], "seed": 0},
            too_long=None if found is None else str(tmp_path / "table.csv"),
            destination=str(tmp_path / "prompts.jsonl"),
        )
        return read_prompts(tmp_path / "prompts.jsonl")

    return render


def test_prompts_are_those_of_the_statements_that_are_kept_and_the_log_says_so(rendered, caplog):
    caplog.set_level(logging.INFO)
    every = rendered(None)
    assert [row["id"] for row in every] == [row["id"] for row in STATEMENTS]
    assert "left out" not in caplog.text, "nothing is said where nothing may be left out"
    assert rendered([]) == every
    assert "0 of 6 statements are left out as too long" in caplog.text
    assert rendered(FOUND) == [row for row in every if row["id"] not in ("1", "3")]
    assert "2 of 6 statements are left out as too long for narrow (at most 16 tokens)" in caplog.text
