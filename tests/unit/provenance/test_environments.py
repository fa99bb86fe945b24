"""The conda environments agree with requirements.txt and with what the scripts of their rules import.

That each suffices is seen in every run of a test: its jobs find nothing else (tests/environments.py).
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import environments
import pytest
import yaml
from conceptdepth.configuration.settings import pins
from conceptdepth.provenance.digest import code_files

ROOT = Path(__file__).parents[3]
DISTRIBUTIONS = {
    "concept_erasure": "concept-erasure",
    "sklearn": "scikit-learn",
    "vl_convert": "vl-convert-python",
    "yaml": "pyyaml",
    "PIL": "pillow",
}
STAGES = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))

PINS = dict(
    line.strip().split("==")
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if not line.startswith("#")
)


BY_OTHERS = {"pyarrow": "pandas reads Parquet with it", "bitsandbytes": "transformers quantizes with it"}
"""Packages that no code of a stage imports by their names, and who does."""


def environment(stage):
    return yaml.safe_load((ROOT / "envs" / f"{stage}.yaml").read_text())


def imported(stage):
    """Return the packages that the scripts of a stage and the library behind them import, wherever they do."""
    scripts = [script for script, of in environments.stages_of_scripts(ROOT).items() if of == stage]
    modules = set()
    for path in {file for script in scripts for file in code_files(script)}:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module.split(".")[0])
    return {DISTRIBUTIONS.get(name, name) for name in modules - set(sys.stdlib_module_names) - {"conceptdepth"}}


def test_there_is_one_environment_for_each_rule_file_that_runs_scripts():
    rule_files = {path.stem for path in (ROOT / "rules").glob("*.smk") if "script:" in path.read_text()}
    assert set(STAGES) == rule_files


@pytest.mark.parametrize("stage", STAGES)
def test_conda_brings_python_and_pip_and_pypi_what_the_tests_install(stage):
    file = environment(stage)
    assert file["channels"] == ["conda-forge", "nodefaults"]
    *of_conda, of_pypi = file["dependencies"]
    assert of_conda == ["python=3.11", "pip"]
    assert of_pypi.keys() == {"pip"}
    assert {(name, PINS[name]) for name in pins(stage) if name != "python"} == {
        tuple(pin.split("==")) for pin in of_pypi["pip"]
    }


@pytest.mark.parametrize("stage", STAGES)
def test_an_environment_has_what_its_scripts_import_and_nothing_that_nobody_does(stage):
    named = pins(stage).keys() - {"python"}
    assert imported(stage) <= named
    assert named - imported(stage) <= BY_OTHERS.keys()


def job(folder, code, script="plot_accuracy.py", variables=()):
    """Run code as Snakemake does, from a copy of a script, where jobs find what their environment has."""
    copy = folder / f".snakemake/scripts/tmp0.{script}"
    copy.parent.mkdir(parents=True)
    copy.write_text(code)
    variables = os.environ | environments.variables(ROOT) | dict(variables)
    return subprocess.run([sys.executable, str(copy)], env=variables, capture_output=True, text=True, check=False)


def test_a_job_does_not_find_what_its_environment_lacks_nor_does_what_it_starts(tmp_path):
    child = "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('pandas') is not None)"
    result = job(
        tmp_path,
        f"import subprocess, sys, pandas, PIL, snakemake\nsubprocess.run([sys.executable, '-c', {child!r}])\nimport torch\n",
    )
    assert result.stdout == "None True\n"
    assert result.stderr.endswith("ModuleNotFoundError: No module named 'torch'\n")


def test_a_job_finds_the_library_of_its_own_project_before_an_installed_one(tmp_path):
    own = tmp_path / "workflow_scripts/conceptdepth/__init__.py"
    own.parent.mkdir(parents=True)
    own.write_text("")
    code = f"import sys; sys.path.append({str(own.parents[1])!r}); import conceptdepth; print(conceptdepth.__file__)"
    result = job(tmp_path, code, variables={"PYTHONPATH": str(environments.HOOK)})
    assert result.stdout == f"{own}\n", result.stderr


def test_other_processes_find_everything():
    variables = os.environ | environments.variables(ROOT)
    found = "import importlib.util as u; assert u.find_spec('torch')"
    assert subprocess.run([sys.executable, "-c", found], env=variables, check=False).returncode == 0


def test_what_is_required_and_by_which_extra_is_found():
    names = environments.closure("huggingface_hub==2.4.0")
    assert {"huggingface-hub", "httpx2", "anyio", "tqdm"} <= names
    assert not {"torch", "pytest"} & names, "extras that are not asked for"
    assert "h2" in environments.closure("httpx2[http2]")
    assert "h2" not in environments.closure("httpx2")
    assert {"numpy", "pandas"} <= environments.brought("figures", ROOT)


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ("activations", "answers", "causal")])
def test_torch_is_only_where_a_model_runs(stage):
    assert "torch" not in pins(stage)


@pytest.mark.parametrize(("name", "version"), PINS.items())
def test_what_is_installed_is_what_is_pinned(name, version):
    from importlib.metadata import version as installed

    assert installed(name).split("+")[0] == version
