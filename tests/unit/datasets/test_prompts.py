"""Templates give the reference's layouts; noise depends on the statement's id and the seed alone."""

import pytest
from conceptdepth.datasets.prompts import fill, instructed, overrides, perturb, presented, render
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.jsonl import write_jsonl
from render_prompts import render_prompts

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
