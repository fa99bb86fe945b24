"""What a job may import: packages of its rule's environment file and what these require, as they are installed here.

Environments are not made for tests. Instead, the modules of all other packages are hidden from the jobs of each project,
see one_environment/sitecustomize.py.
"""

import json
import os
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOOK = Path(__file__).with_name("one_environment")

PREAMBLE = {
    "snakemake",
    "snakemake_interface_common",
    "snakemake_interface_logger_plugins",
    "snakemake_interface_storage_plugins",
}
"""What Snakemake's own lines before a script import, from where Snakemake itself is installed."""


def brought(stage: str, folder: Path) -> set[str]:
    """Return the packages that the environment of a stage has: pip, its pins and all that they require."""
    *of_conda, of_pypi = yaml.safe_load((folder / "envs" / f"{stage}.yaml").read_text())["dependencies"]
    return closure(*of_conda[1:], *of_pypi["pip"])


@cache
def closure(*requirements: str) -> set[str]:
    """Return the names of the packages that pip would install here, from what is installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in found:
                found.add((name, extra))
                waiting += [
                    inner for inner in needs(name) if not inner.marker or inner.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in found}


@cache
def needs(name: str) -> list[Requirement]:
    """Return what a package requires; one that is not installed, such as CUDA's libraries, is nothing to hide."""
    try:
        return [Requirement(line) for line in requires(name) or ()]
    except PackageNotFoundError:
        return []


@cache
def installed() -> dict[str, set[str]]:
    """Return the packages of each module that is installed here."""
    found = packages_distributions()
    return {module: {canonicalize_name(name) for name in found[module]} for module in found}


def hidden(stage: str, folder: Path) -> list[str]:
    """Return the modules that jobs of a stage must do without; the library is that of the project, installed or not."""
    has = brought(stage, folder)
    seen = PREAMBLE | sys.stdlib_module_names | {"conceptdepth"}
    return sorted(module for module, packages in installed().items() if module not in seen and not packages & has)


def stages_of_scripts(folder: Path) -> dict[str, str]:
    """Return the stage of each script: the environment file that its rule names."""
    rule = re.compile(r'conda:\s+"../envs/(\w+)\.yaml".*?script:\s+"../workflow_scripts/(\w+\.py)"', re.DOTALL)
    texts = [path.read_text() for path in (folder / "rules").glob("*.smk")]
    return {script: stage for text in texts for stage, script in rule.findall(text)}


def variables(folder: Path) -> dict[str, str]:
    """Return the environment variables that hide from jobs in a project what their environments lack."""
    stages = stages_of_scripts(folder)
    told = {"stages": stages, "hidden": {stage: hidden(stage, folder) for stage in set(stages.values())}}
    path = os.pathsep.join([str(HOOK), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, "CONCEPTDEPTH_TESTS_HIDDEN": json.dumps(told)}
