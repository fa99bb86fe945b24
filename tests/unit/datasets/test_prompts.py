"""Templates give the reference's layouts; noise depends on the statement's id and the seed alone."""

from conceptdepth.datasets.prompts import fill, instructed, perturb, render

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
