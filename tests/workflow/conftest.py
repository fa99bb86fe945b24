"""A copy of the workflow with a tiny model and tiny datasets, for real snakemake runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_model import save_tiny_model

ROOT = Path(__file__).parents[2]
PARTS = ["Snakefile", "rules", "envs", "config", "workflow_scripts", "profiles", "report"]

OVERLAY = {
    "run": {
        "models": ["tiny"],
        "quantizations": ["fp32", "int8"],
        "datasets": ["coins", "claims"],
        "perturbations": ["clean", "noise"],
    },
    "models": {
        "tiny": {
            "label": "Tiny",
            "family": "none",
            "parameters": 100_000,
            "licence": "none",
            "source": {"path": "data/tiny"},
        }
    },
    "datasets": {
        "coins": {
            "label": "Coins",
            "domain": "inferential",
            "about": "A test.",
            "licence": "none",
            "source": {"generator": "coin_flips", "groups": 4, "people": 3, "seed": 1},
            "classes": [{"name": "yes", "values": ["yes"]}, {"name": "no", "values": ["no"]}],
            "template": {"layout": "text_first", "prompt": "is coin heads up ?"},
        },
        "claims": {
            "label": "Claims",
            "domain": "factual",
            "about": "A test.",
            "licence": "none",
            "source": {"path": "data/claims.csv"},
            "table": {"format": "csv"},
            "columns": {"id": "key", "text": "claim", "label": "truth", "group": "city"},
            "classes": [{"name": "true", "values": [1]}, {"name": "false", "values": [0]}],
            "template": {"layout": "prompt_first", "prompt": "judge the statement true or false ."},
        },
    },
    "probes": {"seeds": [1, 2]},
}


class Project:
    """A folder with the workflow and the files that a user would put beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run snakemake as a user would."""
        command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "2", "--configfile", "overlay.yaml"]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"}
        )

    def overlay(self, change) -> None:
        """Change the overlay: ``change`` is given the mapping."""
        path = self.folder / "overlay.yaml"
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content))


def make_project(folder: Path) -> Project:
    for part in PARTS:
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    save_tiny_model(folder / "data" / "tiny")
    rows = [
        f"{city}-{country},the city of {city} is in {country} .,{int(home == country)},{city}"
        for city, home in (("oslo", "norway"), ("lima", "peru"), ("paris", "france"), ("coin", "true"), ("up", "false"))
        for country in (home, "judge")
    ]
    (folder / "data" / "claims.csv").write_text("\n".join(["key,claim,truth,city", *rows]) + "\n")
    (folder / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
    return Project(folder)


@pytest.fixture
def project(tmp_path):
    """A project that nothing has run in."""
    return make_project(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A project whose whole workflow has run. Tests must leave it as it is."""
    project = make_project(tmp_path_factory.mktemp("finished"))
    result = project.snakemake()
    assert result.returncode == 0, result.stderr
    return project
