"""The command line: what it lists, how fast it starts, and what it says to words that it does not know."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conceptdepth.commands import main as command_line
from conceptdepth.ground.errors import UserError

ROOT = Path(__file__).parents[3]

SUBCOMMANDS = "config why costs items check-model report audit archive export jobs data keys".split()

HEAVY = ["torch", "transformers", "pandas", "numpy", "scipy", "sklearn", "h5py", "matplotlib", "snakemake", "rocrate"]


def python(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "100"},
    )


@pytest.fixture
def typed(monkeypatch, capsys, tmp_path):
    """Type words in an empty folder; gives the exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["conceptdepth", *words])
        with pytest.raises(SystemExit) as left:
            command_line.main()
        return left.value.code, *capsys.readouterr()

    return run


# --- Help -------------------------------------------------------------------------------------------------


def test_it_runs_without_installation_and_lists_its_subcommands():
    result = python("-m", "conceptdepth", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    listed = result.stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == SUBCOMMANDS
    assert not [line for line in listed if line.endswith("...")], "a help text was cut"


def test_a_python_without_the_requirements_is_told_what_to_type():
    result = python("-S", "-m", "conceptdepth", "--help")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Error: this Python has no typer; type `make run`, then `.venv/bin/conceptdepth`.\n"


def test_help_loads_nothing_heavy():
    code = f"""
import sys
from conceptdepth.commands.main import main
for words in (["--help"], *([name, "--help"] for name in {SUBCOMMANDS})):
    sys.argv = ["conceptdepth", *words]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0
print(sorted(set({HEAVY}) & set(sys.modules)))
"""
    result = python("-c", code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_each_subcommand_has_help(typed, name):
    code, out, err = typed(name, "--help")
    assert (code, err) == (0, "")
    usage, _, deed = out.splitlines()[:3]
    assert usage.startswith(f"Usage: conceptdepth {name} ")
    assert len(deed.split()) > 4


def test_shells_complete_subcommands_and_values(monkeypatch):
    for words, number, expected in (
        ("conceptdepth a", 1, ["audit", "archive"]),
        ("conceptdepth items --quantity m", 3, ["mean_accuracy"]),
    ):
        monkeypatch.setenv("_CONCEPTDEPTH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(number))
        code = "import sys; sys.argv = ['conceptdepth']; from conceptdepth.commands.main import main; main()"
        assert python("-c", code).stdout.split() == expected


def test_the_page_of_commands_shows_the_help_as_it_is():
    shown = python(
        "-c", "import sys; sys.argv = ['conceptdepth', '--help']; from conceptdepth.commands.main import main; main()"
    ).stdout
    block = "".join(f"    {line}".rstrip() + "\n" for line in shown.splitlines())
    assert f"    $ conceptdepth --help\n{block}" in (ROOT / "docs/commands.md").read_text()


# --- Mistakes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing command; `conceptdepth --help` lists what there is."),
        (["--nonsense"], "No such option: --nonsense; `conceptdepth --help` lists what there is."),
        (["plan"], "No such command 'plan'; `conceptdepth --help` lists what there is."),
        (["adit"], "No such command 'adit'. Did you mean 'audit'?"),
        (["audit", "--nonsense"], "No such option: --nonsense; `conceptdepth audit --help` lists what there is."),
        (["audit"], "give either an output of the workflow, or --all."),
        (["audit", "a.png", "--all"], "give either an output of the workflow, or --all."),
        (["archive", "--nonsense"], "No such option: --nonsense; `conceptdepth archive --help` lists what there is."),
        (["items", "--configfile", "a"], "No such option: --configfile; `conceptdepth items --help` lists what there is."),
        (["items", "--resolution", "2"], "Invalid value for '--resolution': 2 is not between 0 and 1; `conceptdepth items --help` lists what there is."),
        (["jobs", "--stop"], "No such option: --stop; `conceptdepth jobs --help` lists what there is."),
        (["jobs", "--wait", "--cancel"], "give --wait or --cancel, not both."),
        (["data", "more"], "Got unexpected extra argument(s) (more); `conceptdepth data --help` lists what there is."),
        (["costs", "--share", "0"], "Invalid value for '--share': 0 is not above 0; `conceptdepth costs --help` lists what there is."),
        (["report", "--until", "x"], "--until: a report takes --configfile, --config, --profile, --cores, --snakefile, --directory."),
        (["report", "--configfile"], "argument --configfile: expected at least one argument."),
        # What Snakemake does not know, in its own words.
        (["why", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["costs", "--cores"], "argument --cores/-c: expected one argument"),
    ],
)  # fmt: skip
def test_words_that_it_does_not_know_are_answered_by_a_sentence(typed, words, message):
    assert typed(*words) == (2, "", f"Error: {message}\n")


@pytest.mark.parametrize(("words", "code"), [(["audit", "--all"], 2), (["archive"], 1)])
def test_a_folder_without_results_is_an_error_whose_exit_code_is_no_verdict(typed, words, code):
    found, out, err = typed(*words)
    assert (found, out) == (code, "")
    assert err == "Error: . has no results/provenance; run snakemake first, or name the folder with --directory.\n"


def test_the_command_of_another_copy_of_the_workflow_is_refused(typed, tmp_path):
    (tmp_path / "workflow_scripts/conceptdepth").mkdir(parents=True)
    message = f"this is the command of the workflow in {ROOT}; type `PYTHONPATH=workflow_scripts python -m conceptdepth` here."
    assert typed("audit", "--all") == (2, "", f"Error: {message}\n")


def test_a_defect_is_no_sentence(typed, monkeypatch):
    def broken():
        raise ZeroDivisionError

    monkeypatch.setattr("conceptdepth.commands.data.run", broken)
    with pytest.raises(ZeroDivisionError):
        typed("data")


def test_an_error_of_a_person_has_an_exit_code_of_its_own_only_if_it_says_so(typed, monkeypatch):
    class Special(UserError):
        exit_code = 7

    def refuse(error):
        raise error("no.")

    for error, code in ((UserError, 1), (Special, 7)):
        monkeypatch.setattr("conceptdepth.commands.data.run", lambda error=error: refuse(error))
        assert typed("data") == (code, "", "Error: no.\n")


# --- Arguments of snakemake -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-n", "-c4", "--configfile", "a.yaml", "b.yaml", "--until", "x"],
        ["--configfile", "a.yaml", "--", "results/x.csv", "--json"],
        ["--config", "run={models: [a]}", "results/x.csv"],
    ],
)
def test_arguments_of_snakemake_are_handed_on_word_for_word(typed, monkeypatch, words):
    given = []
    monkeypatch.setattr("conceptdepth.commands.why.run", lambda options: given.extend(options) or 0)
    assert typed("why", *words)[0] == 0
    assert given == words


def test_own_options_of_costs_may_stand_among_those_of_snakemake(typed, monkeypatch):
    given = {}

    def run(options, assumptions, **own):
        given.update(own, options=options, share=assumptions.share, characters=assumptions.characters_per_token)
        return 0

    monkeypatch.setattr("conceptdepth.commands.costs.run", run)
    code, *_ = typed(
        "costs", "--configfile", "a.yaml", "b.yaml", "--json", "--share=0.5", "-c", "2", "--", "--whole-grid"
    )
    assert code == 0
    options = ["--configfile", "a.yaml", "b.yaml", "-c", "2", "--", "--whole-grid"]
    assert given == {"options": options, "as_json": True, "whole_grid": False, "share": 0.5, "characters": 3.9}


# --- Installed --------------------------------------------------------------------------------------------


def test_rules_find_the_library_beside_them_where_another_is_installed(tmp_path):
    """Snakemake puts the folder of a script behind all others; an installed link must be looked at after that."""
    (tmp_path / "conceptdepth").mkdir()
    (tmp_path / "conceptdepth/__init__.py").touch()
    code = f"import sys; sys.path.extend([{str(tmp_path)!r}]); import conceptdepth; print(conceptdepth.__file__)"
    found = python("-c", code, folder=tmp_path.parent).stdout.strip()
    assert Path(found) == tmp_path / "conceptdepth/__init__.py"


@pytest.mark.parametrize("words", [["config"], ["why"], ["costs"], ["check-model", "owner/name"]])
def test_a_folder_without_the_workflow_is_told_from_one(typed, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    assert typed(*words) == (2, "", "Error: there is no Snakefile here; type it in the folder of the workflow.\n")
