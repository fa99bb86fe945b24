"""The rooms of the library: arrows between them hold, each says what it is for, and no file is long."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = "workflow_scripts/conceptdepth"
LINES = 250


@pytest.fixture
def copy(tmp_path):
    """A copy of what `make lint` reads to check imports."""
    shutil.copytree(ROOT / LIBRARY, tmp_path / LIBRARY, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check imports in a folder as `make lint` does there."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": "workflow_scripts", "COLUMNS": "200", "NO_COLOR": "1"},
    )  # fmt: skip


def test_the_rooms_as_they_are_pass(copy):
    result = lint(copy)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract", "chain"),
    [
        (
            "ground/files", "import conceptdepth.provenance.digest",
            "Arrows run one way", "conceptdepth.ground.files -> conceptdepth.provenance.digest",
        ),
        (
            "probes/splits", "from conceptdepth.models import weights",
            "Who studies vectors need not run a model", "conceptdepth.probes.splits -> conceptdepth.models.weights",
        ),
        (
            "depth/definitions", "def later():\n    import torch",
            "Only models and activations import torch", "conceptdepth.depth.definitions -> torch",
        ),
        (
            "probes/scores", "from conceptdepth.probes import training",
            "No circle inside a room", "conceptdepth.probes",
        ),
    ],
    ids=["arrows", "vectors", "torch", "circle"],
)  # fmt: skip
def test_an_import_against_the_arrows_is_named_with_its_contract(copy, module, line, contract, chain):
    with (copy / LIBRARY / f"{module}.py").open("a") as stream:
        stream.write(f"\n{line}\n")
    result = lint(copy)
    assert result.returncode == 1
    kept_or_broken = [words for words in result.stdout.splitlines() if words.endswith(("KEPT", "BROKEN"))]
    assert [words.rpartition(" ")[2] for words in kept_or_broken if words.startswith(contract)] == ["BROKEN"]
    assert chain in result.stdout.partition("Broken contracts")[2]


def test_a_new_room_needs_its_place_among_the_others(copy):
    (copy / LIBRARY / "attic").mkdir()
    (copy / LIBRARY / "attic/__init__.py").touch()
    result = lint(copy)
    assert result.returncode == 1
    assert "attic" in result.stdout


def test_make_lint_checks_imports():
    lints = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("LINTS ="))
    assert "lint-imports" in lints.split()


@pytest.mark.parametrize("room", sorted(path.parent.name for path in (ROOT / LIBRARY).glob("*/__init__.py")))
def test_a_room_says_what_goes_in_and_what_comes_out(room):
    docstring = (ROOT / LIBRARY / room / "__init__.py").read_text()
    assert docstring.startswith('"""')
    assert "\nIn: " in docstring
    assert "Out: " in docstring


def test_no_file_is_long():
    files = (ROOT / "workflow_scripts").rglob("*.py")
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files}
    assert {path: length for path, length in lengths.items() if length > LINES} == {}
