"""The workflow as others run it: from another folder, into another folder, as a module of another workflow."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from dry_runs import dry_run
from project import OVERLAY, Project, make_project

CHOSEN = OVERLAY | {
    "run": {"models": ["tiny"], "quantizations": ["fp32"], "datasets": ["claims"], "perturbations": ["clean"]},
    "probes": {"seeds": [1]},
    "controls": {"baselines": []},
}

HOST = """
configfile: "{folder}/host.yaml"


module conceptdepth:
    snakefile:
        {snakefile}
    {config}


use rule * from conceptdepth{named}


rule mine:
    default_target: True
    input:
        "results/tables/claims.csv",
    output:
        "mine.txt",
    shell:
        "cp {{input}} {{output}}"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A workflow in which no test runs anything."""
    project = make_project(tmp_path_factory.mktemp("elsewhere") / "project")
    (project.folder / "overlay.yaml").write_text(yaml.safe_dump(CHOSEN))
    yield project
    assert not {".snakemake", "results"} & {path.name for path in project.folder.iterdir()}, (
        "results beside the Snakefile"
    )


@pytest.fixture
def elsewhere(project, tmp_path) -> Project:
    """A folder without a workflow, but with the data that the overlay names and a configuration of another workflow."""
    shutil.copytree(project.folder / "data", tmp_path / "data")
    (tmp_path / "config").mkdir()
    for name in ("config", "models"):
        (tmp_path / f"config/{name}.yaml").write_text("samples: [1, 2]\n")
    return Project(tmp_path, project.hub)


def write_host(elsewhere: Project, project: Project, *, snakefile="", config="", named="") -> Path:
    """Write a workflow that has this one as a module, and a configuration with a section for it."""
    host = elsewhere.folder / "host"
    host.mkdir()
    text = HOST.format(
        folder=host, snakefile=snakefile or repr(f"{project.folder}/Snakefile"), config=config, named=named
    )
    (host / "Snakefile").write_text(text)
    (host / "host.yaml").write_text(yaml.safe_dump({"samples": [1, 2], "concepts": CHOSEN}))
    return host / "Snakefile"


def planned(project: Project, *arguments: str, at: Path | None = None) -> list[str]:
    """Return which jobs a dry run lists, and how many of each."""
    said = dry_run(at or project.folder, ("--quiet", "host", "rules", *arguments), project.variables())
    assert said.returncode == 0, said.stdout + said.stderr
    _, _, table = said.stdout.partition("Job stats:\n")
    return sorted(
        line for line in table.partition("\n\n")[0].splitlines()[2:] if not line.startswith(("total", "all "))
    )


def test_from_another_folder_and_into_another_folder_the_same_runs(project, elsewhere):
    overlay, snakefile = str(project.folder / "overlay.yaml"), str(project.folder / "Snakefile")
    for_another = planned(project, "--directory", str(elsewhere.folder), "--configfile", "overlay.yaml")
    from_another = planned(elsewhere, "--snakefile", snakefile, "--configfile", overlay)
    assert for_another == from_another
    assert [line.split() for line in for_another if line.startswith("extract")] == [["extract_activations", "1"]]


@pytest.mark.parametrize(
    ("config", "arguments"),
    [('config: config["concepts"]', []), ("", ["--configfile", "overlay.yaml"])],
    ids=["a section of the host's configuration", "the host's command line"],
)
def test_a_module_runs_the_same(project, elsewhere, config, arguments):
    (elsewhere.folder / "overlay.yaml").write_text(yaml.safe_dump(CHOSEN))
    host = write_host(elsewhere, project, config=config)
    alone = planned(elsewhere, "--snakefile", str(project.folder / "Snakefile"), "--configfile", "overlay.yaml")
    assert planned(elsewhere, "--snakefile", str(host), *arguments, "--", "all") == alone


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"config": 'prefix: "mine"'}, "A module's results lie in results/ of the folder that Snakemake works in"),
        # No network is asked: git answers in the place of a host.
        ({"snakefile": "'git+file:{folder}/Snakefile@main'"}, "must lie on this machine"),
        ({"config": 'config: {"probs": 1}'}, "unknown key 'probs' (did you mean 'probes'?)"),
    ],
    ids=["a prefix", "a Snakefile that is not here", "a configuration that is wrong"],
)
def test_what_a_module_cannot_have_is_said(project, elsewhere, host, message):
    here = {key: text.replace("{folder}", str(project.folder)) for key, text in host.items()}
    written = write_host(elsewhere, project, **here)
    said = dry_run(elsewhere.folder, ("--snakefile", str(written)), elsewhere.variables())
    assert said.returncode == 1
    assert message in said.stdout
    assert "Traceback" not in said.stdout + said.stderr


def test_a_module_under_other_names_makes_results_in_the_folder_that_is_asked_for(project, elsewhere):
    host = write_host(elsewhere, project, config='config: config["concepts"]', named=" as concepts_*")
    asked = elsewhere.folder / "asked"
    shutil.copytree(elsewhere.folder / "data", asked / "data")
    profile = str(project.folder / "profiles/default")
    snakemake = ("--cores", "2", "--snakefile", str(host), "--directory", str(asked), "--workflow-profile", profile)
    result = elsewhere.run(sys.executable, "-m", "snakemake", *snakemake)
    assert result.returncode == 0, result.stderr
    assert (asked / "mine.txt").read_bytes() == (asked / "results/tables/claims.csv").read_bytes()
    assert not (asked / ".snakemake/metadata").is_symlink(), "the memory of another workflow was moved"

    record = json.loads((asked / "results/provenance/train_probes/tiny/fp32/claims.clean.json").read_text())
    assert (record["rule"], record["code"]["script"]) == ("train_probes", "train_probes.py")
    audit = project.conceptdepth("audit", str(asked / "results/tables/claims.csv"), "--directory", str(asked))
    assert audit.returncode == 0, audit.stdout + audit.stderr
    again = dry_run(asked, ("--snakefile", str(host), "--workflow-profile", profile), elsewhere.variables())
    assert "Nothing to be done" in again.stdout
    assert "localrules" not in again.stdout + again.stderr, "rules under other names would be jobs of a cluster"
