"""Templates give the reference's layouts; noise depends on the statement's id and the seed alone."""

import itertools

import pytest
from conceptdepth.datasets.prompts import around, instructed, overrides, perturb, presented, render
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.jsonl import write_jsonl
from render_prompts import render_prompts


def fill(text, **template):
    before, after = around(**template)
    return before + text + after


STATEMENT = {"id": "7", "text": "Oslo is in Norway.", "label": 0, "group": "Oslo"}


def test_layouts_of_the_reference():
    assert fill("TEXT", layout="prompt_first", prompt="PROMPT") == "PROMPT TEXT"
    assert fill("TEXT", layout="text_first", prompt="PROMPT") == "TEXT PROMPT"
    # Nothing stands between prompt and text where a cue follows, as in the released code.
    assert fill("TEXT", layout="text_between", prompt="PROMPT", cue="CUE") == "PROMPTTEXT CUE"


def test_the_released_code_replaces_the_prompt_and_keeps_layout_and_cue():
    template = {"layout": "text_between", "prompt": "PROMPT", "cue": "CUE"}
    assert fill("TEXT", **instructed(template, "declared")) == "PROMPTTEXT CUE"
    released = fill("TEXT", **instructed(template, "released_code"))
    assert released == "According to the sentence, judge the emotion is Positive or Negative.TEXT CUE"


def test_noise_stands_before_the_text_without_a_space():
    row = render(STATEMENT, {"layout": "prompt_first", "prompt": "Judge."}, {"prepend": ["aaa", "bbb"], "seed": 0})
    assert row["prompt"] in {"Judge. aaaOslo is in Norway.", "Judge. bbbOslo is in Norway."}
    assert (row["id"], row["label"], row["group"]) == ("7", 0, "Oslo")


def test_noise_is_drawn_by_id_and_seed_and_both_strings_occur():
    drawn = [perturb("", str(n), prepend=["aaa", "bbb"], seed=0) for n in range(1000)]
    assert drawn == [perturb("", str(n), prepend=["aaa", "bbb"], seed=0) for n in range(1000)]
    assert drawn != [perturb("", str(n), prepend=["aaa", "bbb"], seed=1) for n in range(1000)]
    assert 440 < drawn.count("aaa") < 560  # four standard deviations around 500


def test_no_strings_leave_the_text_as_it_is():
    assert perturb("text", "1", prepend=[]) == "text"


# --- Where text and span stand ------------------------------------------------------------------------------

TEXTS = {
    "Oslo is in Norway.": ["Oslo", "Norway.", "Oslo is in Norway.", "o"],
    "aaa": ["a", "aa", "aaa"],
    "Ōsaka 🏯 ist\u2028in Japan\n ": ["Ōsaka", "🏯", "\u2028", "\n ", "Japan"],
    "{text} %s": ["{text}", " "],
}
PREPENDED = [{}, {"prepend": []}, {"prepend": ["aaa", "bbb"], "seed": 3}, {"prepend": ["Oslo is in Norway.🏯 "]}]


@pytest.mark.parametrize("layout", ["prompt_first", "text_first", "text_between"])
@pytest.mark.parametrize(
    "words", ["", "Judge.", "{} {text}", "The text, where it cannot be told apart: {0}{0}", "🏯 {0} "]
)
@pytest.mark.parametrize("perturbation", PREPENDED)
def test_places_are_those_of_text_and_span_wherever_else_they_occur(layout, words, perturbation):
    for (text, spans), cue in itertools.product(TEXTS.items(), [None, "", "So: {0}"]):
        template = {"layout": layout, "prompt": words.replace("{0}", text)}
        if cue is not None:
            template["cue"] = cue.replace("{0}", text)
        for span in spans:
            statement = STATEMENT | {"text": text, "span": span}
            row = render(statement, template, perturbation)
            # A marked text in the place of the text is found by searching: nothing else has the mark.
            marked = fill(perturb("\0" * len(text), "7", **perturbation), **template)
            start, end = row["text_at"]
            assert (start, end) == (marked.index("\0"), marked.rindex("\0") + 1)
            assert row["prompt"][start:end] == text
            first, last = row["span_at"]
            assert row["prompt"][first:last] == span
            assert span not in row["prompt"][start : last - 1], "the first occurrence in the text counts"
            assert start <= first < last <= end
            assert row["prompt"] == fill(perturb(text, "7", **perturbation), **template)


def test_a_statement_without_a_span_has_a_prompt_without_its_place():
    row = render(STATEMENT, {"layout": "text_first", "prompt": "Judge."}, {})
    assert list(row.items()) == [
        ("id", "7"), ("prompt", "Oslo is in Norway. Judge."), ("label", 0), ("group", "Oslo"), ("text_at", [0, 18]),
    ]  # fmt: skip


TEMPLATE = {"layout": "prompt_first", "prompt": "Judge.", "cue": "So:"}


@pytest.mark.parametrize(
    ("rendering", "cities", "coins"),
    [
        ({}, "Judge. TEXT", "Judge. TEXT"),
        ({"template": {"prompt": "True?"}}, "True? TEXT", "True? TEXT"),
        ({"template": {"layout": "text_between"}}, "Judge.TEXT So:", "Judge.TEXT So:"),
        ({"templates": {"cities": {"layout": "text_first"}}}, "TEXT Judge.", "Judge. TEXT"),
        (
            {"template": {"prompt": "True?"}, "templates": {"cities": {"prompt": "There?"}, "coins": {"layout": "text_between", "cue": "A:"}}},
            "There? TEXT",
            "True?TEXT A:",
        ),
        ({"prepend": ["a"], "template": {"prompt": "True?"}, "chat": True, "system": "x", "prefill": "y"}, "True? aTEXT", "True? aTEXT"),
    ],
)  # fmt: skip
def test_words_of_a_rendering_come_in_the_place_of_the_datasets_own(tmp_path, rendering, cities, coins):
    """Through the script, too, which is given the words for its dataset alone."""
    statement = STATEMENT | {"text": "TEXT"}
    write_jsonl(tmp_path / "statements.jsonl", [statement])
    for dataset, expected in (("cities", cities), ("coins", coins)):
        own = overrides(rendering, dataset)
        assert render(statement, presented(TEMPLATE, "declared", own), rendering)["prompt"] == expected
        noise = {key: value for key, value in rendering.items() if key == "prepend"}
        rest = {key: value for key, value in TEMPLATE.items() if key not in own}
        render_prompts(
            str(tmp_path / "statements.jsonl"),
            template=rest,
            perturbation=noise | {"template": own},
            destination=str(tmp_path / "prompts.jsonl"),
        )
        assert [row["prompt"] for row in read_prompts(tmp_path / "prompts.jsonl")] == [expected]


def test_a_renderings_own_prompt_comes_after_the_released_codes():
    released = presented(TEMPLATE, "released_code", {})["prompt"]
    assert released == "According to the sentence, judge the emotion is Positive or Negative."
    assert presented(TEMPLATE, "released_code", {"layout": "text_first"})["prompt"] == released
    assert presented(TEMPLATE, "released_code", {"prompt": "True?"}) == TEMPLATE | {"prompt": "True?"}
