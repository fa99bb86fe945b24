"""A copy of the workflow with two tiny models and two tiny datasets, for real snakemake runs."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import environments
import yaml
from dry_runs import dry_run
from tiny_model import save_tiny_model

ROOT = Path(__file__).parents[1]
PARTS = [
    "Snakefile", "workflow", "rules", "envs", "config", "workflow_scripts", "conceptdepth", "resources", "profiles", "slurm", "report", ".gitignore", "README.md", "CITATION.cff",
]  # fmt: skip

REVISION = "0123456789abcdef0123456789abcdef01234567"

MARKUP = "</script><img src=x onerror=x()> & $p<.05"
"""Stands wherever the configuration has free text: text stays text in every page and figure."""

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for one in messages %} {{ one.content }}{% endfor %}{% if add_generation_prompt %} ?{% endif %}"
)
"""Of both models: a BOS, every message, and a question mark before an answer."""

OVERLAY = {
    "run": {
        "models": ["tiny", "cached"],
        "quantizations": ["fp32", "int8"],
        "datasets": ["coins", "claims"],
        "perturbations": ["clean", "noise"],
    },
    "models": {
        "tiny": {
            "label": f"Tiny {MARKUP}",
            "family": "none",
            "parameters": 100_000,
            "licence": "none",
            "source": {"path": "data/tiny"},
        },
        "cached": {
            "label": "Cached",
            "family": "none",
            "parameters": 100_000,
            "licence": "none",
            "source": {"hf": "tests/cached", "revision": REVISION},
        },
    },
    "datasets": {
        "coins": {
            "label": f"Coins {MARKUP}",
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
            "about": f"A test. {MARKUP}",
            "licence": f"none {MARKUP}",
            "show_texts": True,
            "source": {"path": "data/claims.csv"},
            "table": {"format": "csv"},
            "columns": {"id": "key", "text": "claim", "label": "truth", "group": "city"},
            "classes": [{"name": "true", "values": [1]}, {"name": "false", "values": [0]}],
            "template": {"layout": "prompt_first", "prompt": "judge the statement true or false ."},
        },
    },
    "claims": {
        "markup": {
            "statement": f"Two formats are alike {MARKUP}.",
            "quantities": ["peak_accuracy"],
            "compare": "quantization",
            "of": "int8",
            "than": "fp32",
            "expected": "equal",
            "margin": 0.1,
        }
    },
    "probes": {"seeds": [1, 2]},
}


CELLS = [
    f"{model}/{quantization}/{dataset}.{perturbation}"
    for model, quantization, dataset, perturbation in itertools.product(*OVERLAY["run"].values())
]
"""The cells of a run with this overlay, as their files are named."""

TOKEN = "hf_SentinelThatNobodyMaySee"
"""A secret of the environment that every command of a project runs in: it stands in no file."""

OPTIONS = ("--cores", "2", "--configfile", "overlay.yaml")


class Project:
    """A folder with the workflow and the files that a user would put beside it, in a git repository."""

    def __init__(self, folder: Path, hub: Path) -> None:
        self.folder = folder
        self.hub = hub
        """A Hugging Face cache that holds the model ``tests/cached``; no network is asked."""

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run snakemake as a user would."""
        return self.run(sys.executable, "-m", "snakemake", *arguments, *OPTIONS)

    def dry_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Return what `snakemake --dry-run` says, sooner."""
        return dry_run(self.folder, (*arguments, *OPTIONS), self.variables())

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder, in which each job has what its environment file brings and no more."""
        variables = os.environ | self.variables() | environments.variables(self.folder)
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, env=variables)

    def variables(self) -> dict[str, str]:
        """Return what commands in this project find in their environment besides what these tests find."""
        secrets = {"HF_TOKEN": TOKEN, "PIP_INDEX_URL": f"https://user:{TOKEN}@localhost/simple"}
        return {"NO_COLOR": "1", "HF_HOME": str(self.hub), "HF_HUB_OFFLINE": "1"} | secrets

    def conceptdepth(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type a command about the run."""
        return self.run(sys.executable, "-m", "conceptdepth", *arguments)

    def traced(self, path: str) -> str:
        """Return what an audit says of where a file comes from; the file must be intact."""
        result = self.conceptdepth("audit", path)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def git(self, *arguments: str) -> str:
        """Run git, which must succeed."""
        who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        result = self.run("git", *who, *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def copy(self, folder: Path) -> "Project":
        """Copy everything, time stamps and links included."""
        return Project(shutil.copytree(self.folder, folder, symlinks=True), self.hub)

    def overlay(self, change) -> None:
        """Change the overlay: ``change`` is given the mapping."""
        path = self.folder / "overlay.yaml"
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content))


def make_project(folder: Path) -> Project:
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_symlink():
            (folder / part).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    hub = folder.parent / f"{folder.name}-hub"
    models = [folder / "data" / "tiny", hub / "hub" / "models--tests--cached" / "snapshots" / REVISION]
    for seed, place in enumerate(models):
        save_tiny_model(place, seed=seed)
        (place / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    rows = [
        f"{city}-{country},the city of {city} is in {country} .,{int(home == country)},{city}"
        for city, home in (("oslo", "norway"), ("lima", "peru"), ("paris", "france"), ("coin", "true"), ("up", "false"))
        for country in (home, "judge")
    ]
    (folder / "data" / "claims.csv").write_text("\n".join(["key,claim,truth,city", *rows]) + "\n")
    (folder / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
    project = Project(folder, hub)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.git("add", ".")
    project.git("commit", "--quiet", "--message", "A project")
    return project
