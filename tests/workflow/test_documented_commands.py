"""Every command of the documentation is run: here, by another test, or by CI; or it says why it cannot be run here."""

import re
import shlex
import subprocess
import sys

import pytest
import transformers as hf
from documentation import ROOT, block_of, commands
from documented_elsewhere import NOT_HERE, TESTS
from dry_runs import dry_run
from project import make_project
from tiny_model import save_checkpoint

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]

CSV, MODEL, CHANGE = "docs/tutorials/own_csv.md", "docs/tutorials/own_model.md", "docs/howto/change_a_run.md"
CHATS, STUDY = "docs/howto/chat_models.md", "docs/tutorials/first_study.md"

DRY = {
    "snakemake -n": {},
    "snakemake --configfile mine.yaml": {"mine.yaml": (CSV, "run:")},
    "snakemake results/figures/accuracy.svg": {},
    "snakemake -n --configfile mine.yaml": {"mine.yaml": (CHANGE, "# mine.yaml")},
    ".venv/bin/snakemake -n --configfile mine.yaml": {"mine.yaml": (CHANGE, "# mine.yaml")},
    ".venv/bin/snakemake -n --quiet all --configfile mine.yaml": {"mine.yaml": (CSV, "run:")},
    ".venv/bin/snakemake show_prompts --quiet all": {},
    "snakemake show_prompts --quiet all": {},
    ".venv/bin/snakemake show_prompts --quiet all --configfile mine.yaml": {"mine.yaml": (CSV, "run:")},
    ".venv/bin/snakemake show_prompts --quiet all --configfile chats.yaml": {"chats.yaml": (CHATS, "# chats.yaml")},
    "snakemake show_prompts --quiet all --configfile config/positions.yaml": {},
    ".venv/bin/snakemake --until fetch_source fetch_model": {},
    "snakemake --until render_prompts fetch_model": {},
    "snakemake --configfile config/causal.yaml -- causal": {},
    "snakemake transfer --configfile mine.yaml": {"mine.yaml": (CHANGE, "# mine.yaml")},
}
"""Commands of Snakemake that are planned here, and not run: with them, files of whose pages they need. What they then
do is what other tests do with a smaller model."""

SAID = {
    ".venv/bin/conceptdepth config --configfile mine.yaml": "seeds: [42]",
    ".venv/bin/conceptdepth costs --whole-grid": "assumed and not measured",
    ".venv/bin/conceptdepth costs --whole-grid --teraflops 989 --teraflops-fp32 67 --share 0.5": "at 50% of 67 (fp32) or 989",
}
"""Commands that are run here, and what they say."""

HERE = {
    "snakemake -n --configfile bad.yaml",
    ".venv/bin/python make_animals.py",
    ".venv/bin/python make_model.py",
    ".venv/bin/conceptdepth check-model models/first-20",
    ".venv/bin/conceptdepth costs --whole-grid --configfile model.yaml",
}
"""Commands with a test of their own below."""

MAKE = re.compile(r"make ([\w-]+)(?: ARGS=\"(.*)\")?$")


def typed() -> set[str]:
    return {command for page in PAGES for command in commands(page.read_text())}


def test_every_command_is_in_a_table_and_every_row_is_a_command():
    known = {*DRY, *SAID, *HERE, *TESTS, *NOT_HERE}
    assert len(known) == len(DRY) + len(SAID) + len(HERE) + len(TESTS) + len(NOT_HERE), "a command is in two tables"
    assert {command for command in typed() - known if not MAKE.match(command)} == set()
    assert known - typed() == set()


@pytest.mark.parametrize("test", sorted(set(TESTS.values())))
def test_a_test_that_is_named_is_there(test):
    path, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / "tests" / path).read_text()


def test_every_make_is_of_a_target_with_options_that_its_program_takes():
    """`make run` twice is what CI runs; the recipes of the others are tested where the commands behind them are."""
    rules = (ROOT / "Makefile").read_text()
    found = [made for command in typed() if (made := MAKE.match(command))]
    assert len(found) > 15
    for made in found:
        assert re.search(rf"^{made[1]}:", rules, re.MULTILINE), made[0]
        assert not made[2] or re.search(rf"^{made[1]}:(?:.*\n\t)+.*(?:ARGS|SNAKEMAKE)", rules, re.MULTILINE), made[0]


# --- A newcomer's project, with the default configuration -----------------------------------------------------


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """A copy of the repository, with the files that the tutorials have one write."""
    project = make_project(tmp_path_factory.mktemp("newcomer") / "project")
    for name, page, first in (
        ("make_animals.py", CSV, "import csv"),
        ("make_model.py", MODEL, "from transformers import AutoModelForCausalLM, AutoTokenizer"),
        ("model.yaml", MODEL, "models:"),
        ("bad.yaml", CHANGE, "probs: {C: 0.5}"),
    ):
        (project.folder / name).write_text(block_of(page, first))
    made = project.run(sys.executable, "make_animals.py")
    assert made.returncode == 0, made.stderr
    return project


def test_the_table_of_the_tutorial_has_pairs_of_claims(newcomer):
    header, *rows = (newcomer.folder / "data/animals.csv").read_text().splitlines()
    assert header == "animal,claim,truth"
    assert rows[:2] == ["cow,The cow is a mammal.,1", "cow,The cow is a bird.,0"]
    assert len(rows) == len(set(rows)) == 120
    assert all(rows.count(row) == 1 for row in rows)


PLANS = {
    (
        *(word for word in shlex.split(command)[1:] if word != "-n"),
        *(place for at in files.values() for place in at),
    ): files
    for command, files in DRY.items()
}
"""Each once, however it is typed."""


@pytest.mark.parametrize("words", PLANS, ids=" ".join)
def test_a_command_can_be_planned(newcomer, words):
    for name, (page, first) in PLANS[words].items():
        (newcomer.folder / name).write_text(block_of(page, first))
        words = words[:-2]
    result = dry_run(newcomer.folder, words, newcomer.variables())
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", SAID)
def test_a_command_says_what_its_page_says(newcomer, command):
    (newcomer.folder / "mine.yaml").write_text(block_of(CHANGE, "# mine.yaml"))
    result = newcomer.conceptdepth(*shlex.split(command)[1:])
    assert result.returncode == 0, result.stderr
    assert SAID[command] in " ".join(result.stdout.split())


def test_a_bad_configuration_is_answered_as_the_page_shows(newcomer):
    command, *answer = block_of(CHANGE, "$ snakemake -n --configfile bad.yaml").splitlines()
    result = dry_run(newcomer.folder, tuple(shlex.split(command)[3:]), newcomer.variables())
    assert result.returncode == 1
    assert set(answer) <= set((result.stdout + result.stderr).splitlines())


def test_the_tutorial_s_table_becomes_prompts(newcomer):
    (newcomer.folder / "mine.yaml").write_text(block_of(CSV, "run:"))
    command = ("snakemake", "--cores", "2", "--configfile", "mine.yaml", "--", "results/prompts/animals.clean.jsonl")
    result = newcomer.run(sys.executable, "-m", *command)
    assert result.returncode == 0, result.stderr
    text = (newcomer.folder / "results/prompts/animals.clean.jsonl").read_text()
    assert text.count("Judge the statement is True or False. The ") == 120


def test_the_tutorial_s_model_is_made_and_read_right(newcomer):
    config = hf.LlamaConfig(
        vocab_size=40, hidden_size=64, intermediate_size=128, num_hidden_layers=30, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128,
    )  # fmt: skip
    save_checkpoint(newcomer.folder / "results/models/smollm2-135m/weights", hf.LlamaForCausalLM(config))
    made = newcomer.run(sys.executable, "make_model.py")
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith(" parameters\n")
    result = newcomer.conceptdepth("check-model", "models/first-20")
    assert result.returncode == 0, result.stderr
    assert "model.layers.0 to model.layers.19" in result.stdout
    assert "verdict     supported" in result.stdout
    costs = newcomer.conceptdepth("costs", "--whole-grid", "--configfile", "model.yaml")
    assert costs.returncode == 0, costs.stderr
    assert "first-20" in costs.stdout


def test_the_programs_of_the_pages_are_python():
    """Those that need what a test has not: at least their syntax is right."""
    for page, first in ((STUDY, "from conceptdepth import load_probe, open_model"),):
        compile(block_of(page, first), page, "exec")


def test_commands_are_found_and_other_lines_are_not():
    text = "    $ make run   # now\n    run:\n      models: [a]\n    python = 3\n    x.y\n    A=1 .venv/bin/python t.py &\n"
    assert commands(text) == ["make run", "A=1 .venv/bin/python t.py"]


def test_the_readme_s_two_commands_are_what_ci_runs():
    text = (ROOT / ".ci/run").read_text()
    assert re.search("^make run$", text, re.MULTILINE)
    assert re.search("^make test$", text, re.MULTILINE)
    assert subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=False).returncode == 0
