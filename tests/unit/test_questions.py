"""A stranger's questions have an answer within two clicks of the README, and sentences to look up stand in the code."""

import ast
import re
from functools import cache
from itertools import chain

import pytest
from documentation import ROOT, anchor, blocks, links, sections
from questions import QUESTIONS

HOME = ROOT / "README.md"


@cache
def clicks() -> dict[str, int]:
    """Return how many clicks each page of the repository is from the README."""
    found, reached = {HOME: 0}, [HOME]
    for number in (1, 2):
        reached = [page for page in set(chain.from_iterable(map(links, reached))) - found.keys() if page.exists()]
        found |= dict.fromkeys(reached, number)
    return {page.relative_to(ROOT).as_posix(): number for page, number in found.items()}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_has_its_answer_within_two_clicks(question):
    place, words = QUESTIONS[question]
    page, _, heading = place.partition("#")
    assert clicks()[page] <= 2
    assert words in sections(ROOT / page)[heading]


def test_every_page_of_the_documentation_is_within_two_clicks():
    pages = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert pages - clicks().keys() == set()


def test_anchors_are_those_of_the_site():
    assert anchor("Splits (`probes.split`)") == "splits-probessplit"
    assert anchor("1. The table") == "1-the-table"
    assert anchor("layer_scores.csv") == "layer_scorescsv"


def test_the_readme_is_short_and_says_what_its_words_mean():
    text = HOME.read_text()
    assert len(text.splitlines()) <= 150
    for word in ("layer", "probe", "cell", "perturbation", "depths", "centre of gain", "jump point"):
        assert f"**{word}**" in text, f"{word} is not explained"
    for word in ("site", "position"):
        assert f"*{word}* (" in text


def test_blocks_are_found_in_fences_and_behind_four_spaces():
    text = "Text\n\n    a: 1\n\n      b: 2\n\nmore\n\n```yaml\nc: 3\n```\n    d\n"
    assert list(blocks(text)) == [["a: 1", "", "  b: 2", ""], ["c: 3"], ["d"]]


# --- Sentences to look up ----------------------------------------------------------------------------------


def texts_of_the_code() -> str:
    """Return every text that stands in the library, a mark in the place of what is filled in, a line for each."""
    found = []
    for path in (ROOT / "workflow_scripts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.JoinedStr(values):
                    parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in values]
                    found.append("".join(parts))
                case ast.Constant(str(text)):
                    found.append(text)
    return "\n".join(found)


def test_each_sentence_of_troubleshooting_is_one_that_the_code_says():
    """Those of other programs say so behind them, in brackets."""
    quoted = re.findall(r"^> (.*)\n\n(.*)$", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    own = [sentence for sentence, after in quoted if not re.match(r"\((?:Snakemake|make|Python)'s", after)]
    assert len(own) > 30
    said = texts_of_the_code()
    parts = [part.strip() for sentence in own for part in re.split(r"\.{3}(?!\.)|`native`|0x", sentence)]
    assert [part for part in parts if part.strip(" .;:,()") and part not in said] == []
