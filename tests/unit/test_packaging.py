"""What `pip install .` brings: a light library that works anywhere, and extras that hold together with the pins."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import environments
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from small_run import make_small_run

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LIGHT = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}
OWN = canonicalize_name(PROJECT["name"])


def pins(name: str) -> dict[str, str]:
    lines = [line.strip() for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}


RUN, TESTS = pins("requirements.txt"), pins("requirements-test.txt")


def named(requirements) -> set[str]:
    return {canonicalize_name(one.name) for one in requirements} - {OWN}


# --- What stands in pyproject.toml ------------------------------------------------------------------------


def test_the_library_and_its_workflow_take_exactly_what_make_run_installs():
    of = {name: named(EXTRAS[name]) for name in ("models", "workflow")}
    assert named(LIGHT) | of["models"] | of["workflow"] == RUN.keys()
    assert not named(LIGHT) & of["models"]
    assert not (named(LIGHT) | of["models"]) & of["workflow"]
    assert [one.extras for one in EXTRAS["workflow"] if canonicalize_name(one.name) == OWN] == [{"models"}]


@pytest.mark.parametrize("extra", sorted(EXTRAS.keys() - {"models", "workflow"}))
def test_an_extra_has_what_the_tests_install(extra):
    assert named(EXTRAS[extra]) <= RUN.keys() | TESTS.keys()


@pytest.mark.parametrize("one", [*LIGHT, *(one for of in EXTRAS.values() for one in of)], ids=str)
def test_the_pins_are_allowed(one):
    name = canonicalize_name(one.name)
    if name != OWN:
        assert re.fullmatch(r">=[\d.]+", str(one.specifier)), "a lower bound alone: what comes later is not known"
        assert (RUN | TESTS)[name] in one.specifier


def test_the_light_library_brings_neither_torch_nor_snakemake():
    brought = environments.closure(*map(str, LIGHT))
    assert {"numpy", "pandas"} <= brought
    assert not {"torch", "transformers", "snakemake", "matplotlib", "xarray", "datasets"} & brought


# --- The wheel --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The folder of a wheel, unpacked, and what finds no module that the light library does not bring."""
    folder = tmp_path_factory.mktemp("wheel")
    for part in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / part, folder)
    for part in ("workflow_scripts", "config"):
        shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "conceptdepth").symlink_to("workflow_scripts/conceptdepth")
    made = folder / "made"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    built = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(made), str(folder)]
    subprocess.run(built, check=True, capture_output=True)
    (file,) = made.glob("concept_depth-0.1.0-*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(made / "site")  # Above it no workflow lies.
    hide = Path(environments.HOOK) / "sitecustomize.py"
    light = environments.closure(*map(str, LIGHT))
    known = {module: {canonicalize_name(name) for name in names} for module, names in packages_distributions().items()}
    hidden = sorted(module for module, of in known.items() if not of & light and module not in sys.stdlib_module_names)
    assert {"torch", "snakemake", "matplotlib"} <= {*hidden}
    code = hide.read_text().partition('if "CONCEPTDEPTH_TESTS_HIDDEN"')[0]
    (made / "site/sitecustomize.py").write_text(
        f"{code}\nhide({[name for name in hidden if name != 'conceptdepth']})\n"
    )
    return made / "site"


def python(wheel, *arguments, folder):
    """Run Python where the wheel is the only conceptdepth, and nothing else is what it does not bring."""
    variables = os.environ | {"PYTHONPATH": str(wheel), "COLUMNS": "300"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, env=variables
    )


def test_the_wheel_has_the_library_its_configuration_and_nothing_else(wheel):
    tops = {path.name for path in wheel.iterdir()} - {"sitecustomize.py", "__pycache__"}
    assert tops == {"conceptdepth", "concept_depth-0.1.0.dist-info"}
    files = {
        path.relative_to(wheel / "conceptdepth").as_posix()
        for path in (wheel / "conceptdepth").rglob("*")
        if path.is_file()
    }
    library = ROOT / "workflow_scripts/conceptdepth"
    configuration = {
        f"config/{path.relative_to(ROOT / 'config').as_posix()}" for path in (ROOT / "config").rglob("*.yaml")
    }
    assert {name for name in files if not name.endswith(".pyc")} == configuration | {
        path.relative_to(library).as_posix() for path in library.rglob("*.py")
    }


def test_the_wheel_reads_results_and_trains_probes_without_torch(wheel, tmp_path):
    make_small_run(tmp_path)
    code = (
        "import json, sys\nfrom conceptdepth import Results, probe\nimport conceptdepth\n"
        "results = Results('results')\n"
        "cell = results.cell(quantization='fp32', dataset='cities')\n"
        "probed = probe(cell.vectors, seeds=[42])\n"
        "run = results.table('layer_scores', **cell.names, site='mlp_input', seed=42, target='concept')\n"
        "print(json.dumps({'file': conceptdepth.__file__, 'same': run['accuracy'].tolist() == probed.scores['accuracy'].tolist(),\n"
        "    'depth': probed.depth()['peak_accuracy'], 'arrow': cell.arrow(2).num_rows, 'torch': 'torch' in sys.modules}))\n"
    )
    result = python(wheel, "-c", code, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told.pop("file") == str(wheel / "conceptdepth/__init__.py")
    assert told.pop("depth") > 0.9
    assert told == {"same": True, "arrow": 60, "torch": False}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--help"], 0, ""),
        (["why"], 2, "Error: `conceptdepth why` works in a clone of the repository, after `make run` there; this library was installed without the workflow.\n"),
        (["items"], 1, "Error: there is no results/tables/configuration.yaml: this needs the results of a run, `make run`.\n"),
    ],
)  # fmt: skip
def test_the_command_of_the_wheel_says_what_it_lacks(wheel, tmp_path, words, code, says):
    result = python(wheel, "-m", "conceptdepth", *words, folder=tmp_path)
    assert (result.returncode, result.stderr) == (code, says)


def test_the_command_of_the_wheel_does_not_work_in_a_clone(wheel, tmp_path):
    (tmp_path / "workflow_scripts/conceptdepth").mkdir(parents=True)
    result = python(wheel, "-m", "conceptdepth", "items", folder=tmp_path)
    assert result.stderr == (
        "Error: this is the command of a library that was installed by itself; type `PYTHONPATH=workflow_scripts python -m conceptdepth` here.\n"
    )


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch", "models"), ("huggingface_hub", "models"), ("rocrate", "workflow"), ("vl_convert", "workflow")],
)
def test_a_missing_package_is_named_with_its_extra(wheel, tmp_path, module, extra):
    code = (
        f"import sys, conceptdepth.commands.main as command, conceptdepth.__main__ as entry\n"
        f"def broken():\n    import {module}\n"
        "command.main = broken\nentry.main()\n"
    )
    result = python(wheel, "-c", code, folder=tmp_path)
    assert (result.returncode, result.stderr) == (
        1, f"Error: this Python has no {module}; install concept-depth with its extra [{extra}], which brings it.\n",
    )  # fmt: skip


def test_a_module_of_our_own_that_is_missing_is_a_defect(wheel, tmp_path):
    code = (
        "import conceptdepth.commands.main as command, conceptdepth.__main__ as entry\n"
        "def broken():\n    import conceptdepth.nothing\n"
        "command.main = broken\nentry.main()\n"
    )
    assert "Traceback" in python(wheel, "-c", code, folder=tmp_path).stderr
