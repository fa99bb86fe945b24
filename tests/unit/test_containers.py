"""The container recipes: they install the pins, retype none, and copy the whole workflow."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from conceptdepth.commands.archive import CODE, DOCUMENTS

ROOT = Path(__file__).parents[2]
DOCKER, APPTAINER = ROOT / "containers/Dockerfile", ROOT / "containers/concept-depth.def"
RECIPES = pytest.mark.parametrize("recipe", [DOCKER, APPTAINER], ids=["Docker", "Apptainer"])


def copied(recipe: Path) -> set[str]:
    """Return what a recipe copies from the repository."""
    if recipe == DOCKER:
        lines = [line.split()[1:-1] for line in recipe.read_text().splitlines() if line.startswith("COPY ")]
    else:
        section = re.search(r"^%files\n(.*?)^%", recipe.read_text(), re.DOTALL | re.MULTILINE)[1]
        lines = [line.split()[:-1] for line in section.splitlines() if line]
    return {name for line in lines for name in line}


@RECIPES
def test_what_is_installed_stands_in_requirements_alone(recipe):
    text = recipe.read_text()
    installs = re.findall(r"pip install ([^\\\n]*)", text)
    assert [words.split()[-2:] for words in installs] == [["--requirement", "requirements.txt"], ["--editable", "."]]
    assert "--no-deps" in installs[1]
    assert not re.search(r"[=<>~]=\s*\d", text), "a version is typed again"


@RECIPES
def test_python_is_that_of_the_environments(recipe):
    [image] = re.findall(r"^(?:FROM|From:) (\S+)$", recipe.read_text(), re.MULTILINE)
    pinned = {
        line.partition("=")[2]
        for path in (ROOT / "envs").glob("*.yaml")
        for line in yaml.safe_load(path.read_text())["dependencies"]
        if isinstance(line, str) and line.startswith("python=")
    }
    assert {re.fullmatch(r"python:([\d.]+)-slim-bookworm", image)[1]} == pinned


@RECIPES
def test_the_whole_workflow_is_copied(recipe):
    assert copied(recipe) == {"Snakefile", *CODE, *DOCUMENTS}, "what an archive holds of the code"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert copied(recipe) <= {line.partition("/")[0] for line in tracked.splitlines()}
    assert f"ln -s {(ROOT / 'conceptdepth').readlink()} conceptdepth" in recipe.read_text()


def test_the_image_does_not_run_as_root():
    users = re.findall(r"^USER (\S+)$", DOCKER.read_text(), re.MULTILINE)
    assert users
    assert not users[-1].startswith(("0", "root"))
