"""The commands of the Makefile are ones that Snakemake takes: an option must not swallow the target after it."""

import re
import shlex
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

RECIPES = re.findall(
    r"^\t@?(?:\w+=\S+ )?\$\(SNAKEMAKE\)(.*)$", (Path(__file__).parents[2] / "Makefile").read_text(), re.MULTILINE
)


def test_there_are_such_commands():
    assert {"show_prompts", "results/tables/claims.csv"} <= {recipe.split()[-1] for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_command_has_the_target_that_it_names(recipe):
    words = shlex.split(recipe)
    given = get_argument_parser().parse_args(["--resources", "mem_mb=1", *words])
    assert sorted(given.targets) == [word for word in words[-1:] if not word.startswith("-") and words[-2:-1] == ["--"]]
