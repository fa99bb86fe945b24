"""Snakemake says in a sentence, before any job, what is wrong with files of the configuration and with folders."""

import sys
from pathlib import Path

import pytest
from dry_runs import dry_run
from project import Project, make_project


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project in which nothing runs."""
    return make_project(tmp_path_factory.mktemp("places") / "project")


@pytest.fixture
def copy(made, tmp_path):
    """A copy of it to change."""
    return made.copy(tmp_path / "project")


def asked(project: Project, *files: str) -> str:
    """What a dry run is refused with, of one line but for Snakemake's own words before it and the place after it."""
    arguments = ("--quiet", "all", "--cores", "1", "--configfile", "overlay.yaml", *files)
    result = dry_run(project.folder, arguments, project.variables())
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert "Traceback" not in said
    return said.partition("WorkflowError")[2].splitlines()[1].strip()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("depth: {}\nprobes: {C: 1}\nprobes: {C: 2}\n", "{file}, line 3: the key 'probes' stands in line 2 too; only one of them would count."),
        ("claims: {1: null}\n", "claims: the key 1 is no text; put it in quotes."),
        ("probes: {C: .nan}\n", "probes.C: .nan is no number; infinities are none either."),
        ("run: {quantizations: fp32}\n", "run.quantizations: 'fp32' is not of type array; for a list write ['fp32']."),
        ("", "Config file must be given as JSON or YAML with keys at top level."),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_of_the_configuration_is_said(made, text, sentence):
    file = made.folder / "wrong.yaml"
    file.write_text(text)
    assert asked(made, "wrong.yaml") == sentence.replace("{file}", str(file))


@pytest.mark.parametrize("name", ["results", ".snakemake", "results/activations/tiny", "results/logs/train_probes"])
def test_a_file_in_the_place_of_a_folder_is_said(copy, name):
    (copy.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (copy.folder / name).write_text("")
    assert asked(copy) == f"{name} is a file, and a folder of this name is needed; move the file away."


def test_a_brace_in_the_path_is_said(made, tmp_path):
    assert "there is a brace in the path of this folder" in asked(made.copy(tmp_path / "a{b}c"))


def test_it_runs_in_a_folder_and_with_a_python_whose_paths_are_odd(made, tmp_path):
    """Snakemake puts the path of its Python into a shell's commands without quotes."""
    project = made.copy(tmp_path / "a b'c#%$;&(d)*")
    place = tmp_path / "an environment's"
    place.symlink_to(Path(sys.executable).parent.parent)
    command = [str(place / "bin" / Path(sys.executable).name), "-m", "snakemake", "results/datasets/claims.jsonl"]
    said = project.run(*command, "--cores", "1", "--configfile", "overlay.yaml")
    assert said.returncode == 0, said.stderr
    assert (project.folder / "results/provenance/prepare_dataset/claims.json").is_file()
