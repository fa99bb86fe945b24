"""The conda environments agree with requirements.txt and with what the scripts of their rules import."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from conceptdepth.configuration.settings import pins
from conceptdepth.provenance.digest import code_files

ROOT = Path(__file__).parents[3]
DISTRIBUTIONS = {"sklearn": "scikit-learn", "yaml": "pyyaml", "PIL": "pillow"}
STAGES = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))

PINS = dict(
    line.strip().split("==")
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if not line.startswith("#")
)


def environment(stage):
    return yaml.safe_load((ROOT / "envs" / f"{stage}.yaml").read_text())


def test_there_is_one_environment_for_each_rule_file_that_runs_scripts():
    rule_files = {path.stem for path in (ROOT / "rules").glob("*.smk") if "script:" in path.read_text()}
    assert set(STAGES) == rule_files


@pytest.mark.parametrize("stage", STAGES)
def test_channels_end_with_nodefaults(stage):
    assert environment(stage)["channels"] == ["conda-forge", "nodefaults"]


@pytest.mark.parametrize("stage", STAGES)
def test_versions_are_those_of_requirements(stage):
    for name, version in pins(stage).items():
        if name != "python":
            assert PINS[name] == version


@pytest.mark.parametrize("stage", STAGES)
def test_an_environment_has_what_its_scripts_import(stage):
    scripts = re.findall(r'script:\s+"../workflow_scripts/(\w+\.py)"', (ROOT / "rules" / f"{stage}.smk").read_text())
    imported = set()
    for path in {file for script in scripts for file in code_files(script)}:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - {"conceptdepth"}
    assert {DISTRIBUTIONS.get(name, name) for name in third_party} <= pins(stage).keys()


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ("activations", "answers")])
def test_torch_is_only_where_a_model_runs(stage):
    assert "torch" not in pins(stage)


@pytest.mark.parametrize(("name", "version"), PINS.items())
def test_what_is_installed_is_what_is_pinned(name, version):
    from importlib.metadata import version as installed

    assert installed(name).split("+")[0] == version
