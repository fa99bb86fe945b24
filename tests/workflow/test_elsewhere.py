"""The workflow as others run it: from another folder, into another folder, as a module of another workflow."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from dry_runs import dry_run
from project import OVERLAY, ROOT, Project, make_project

CHOSEN = OVERLAY | {
    "run": {"models": ["tiny"], "quantizations": ["fp32"], "datasets": ["claims"], "perturbations": ["clean"]},
    "probes": {"seeds": [1]},
    "controls": {"baselines": []},
}

PARITY = ("even", "odd")

HOST = """
configfile: "{folder}/host.yaml"


module conceptdepth:
    snakefile:
        {snakefile}
    {config}


use rule * from conceptdepth


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


def copy_example(name: str, elsewhere: Project, project: Project) -> Path:
    """Copy an example into a folder, told where the workflow lies, and return its Snakefile."""
    shutil.copytree(ROOT / "examples" / name, elsewhere.folder, dirs_exist_ok=True)
    snakefile = elsewhere.folder / "Snakefile"
    text = snakefile.read_text()
    [place] = [line.strip() for line in text.splitlines() if 'Snakefile"' in line]
    snakefile.write_text(text.replace(place, repr(f"{project.folder}/Snakefile")))
    return snakefile


def write_host(elsewhere: Project, project: Project, *, snakefile="", config="") -> Path:
    """Write a workflow that has this one as a module, and a configuration with a section for it."""
    host = elsewhere.folder / "host"
    host.mkdir()
    text = HOST.format(folder=host, snakefile=snakefile or repr(f"{project.folder}/Snakefile"), config=config)
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


def test_the_file_that_the_catalog_looks_for_plans_the_same(project, elsewhere):
    overlay = ("--configfile", str(project.folder / "overlay.yaml"))
    alone = planned(elsewhere, "--snakefile", str(project.folder / "Snakefile"), *overlay)
    same = planned(elsewhere, "--snakefile", str(project.folder / "workflow/Snakefile"), *overlay)
    assert sorted(map(str.split, same)) == sorted([["concept_depth", "1"], *map(str.split, alone)])


# What snakedeploy writes, which is what the catalog tells to use.
DEPLOYED = """
configfile: "config/config.yaml"


module concept_depth:
    snakefile:
        github("someone/concept-depth", path="workflow/Snakefile", tag="v1")
    config:
        config


use rule * from concept_depth
"""


def test_a_module_from_a_host_is_unpacked_and_runs_the_same(project, elsewhere, monkeypatch):
    """No network is asked: git answers with the project in the place of the host."""
    project.git("tag", "--force", "v1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(elsewhere.folder / "cache"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{project.folder}/.git.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/someone/concept-depth")
    (elsewhere.folder / "workflow").mkdir()
    (elsewhere.folder / "workflow/Snakefile").write_text(DEPLOYED)
    (elsewhere.folder / "config/config.yaml").write_text(yaml.safe_dump(CHOSEN))
    made = elsewhere.run(sys.executable, "-m", "snakemake", "--cores", "1", "--", "results/prompts/claims.clean.jsonl")
    assert made.returncode == 0, made.stderr
    commit = project.git("rev-parse", "v1").strip()
    assert [path.name for path in (elsewhere.folder / ".snakemake/concept-depth").iterdir()] == [commit]
    record = json.loads((elsewhere.folder / "results/provenance/render_prompts/claims.clean.json").read_text())
    assert record["code"]["script"] == "render_prompts.py"
    said = elsewhere.run(sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "host", "rules")
    assert "extract_activations" in said.stdout
    assert "concept_depth " in said.stdout


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


def test_the_example_of_a_module_plans_what_its_section_says(project, elsewhere):
    snakefile = copy_example("module", elsewhere, project)
    section = yaml.safe_load((elsewhere.folder / "config/config.yaml").read_text())["concepts"]
    (elsewhere.folder / "overlay.yaml").write_text(yaml.safe_dump(section))
    alone = planned(elsewhere, "--snakefile", str(project.folder / "Snakefile"), "--configfile", "overlay.yaml")
    assert [line.split() for line in alone if line.startswith("extract")] == [["extract_activations", "1"]]
    jobs = planned(elsewhere, "--snakefile", str(snakefile), "--", "earliest", "concepts_all")
    assert [line.split() for line in jobs] == sorted(
        [
            ["concepts_all", "1"],
            ["earliest", "1"],
            *([f"concepts_{rule}", count] for rule, count in map(str.split, alone)),
        ]
    )


def test_the_example_of_a_module_makes_results_in_the_folder_that_is_asked_for(project, elsewhere, monkeypatch):
    host = copy_example("module", elsewhere, project)
    asked = elsewhere.folder / "asked"
    shutil.copytree(elsewhere.folder / "data", asked / "data")
    (asked / "config").mkdir()
    (asked / "config/config.yaml").write_text(yaml.safe_dump({"samples": [1, 2], "concepts": CHOSEN}))
    profile = str(project.folder / "profiles/default")
    snakemake = ("--cores", "2", "--snakefile", str(host), "--directory", str(asked), "--workflow-profile", profile)
    targets = ("earliest", "results/tables/layer_scores.csv")
    result = elsewhere.run(sys.executable, "-m", "snakemake", *snakemake, "--", *targets)
    assert result.returncode == 0, result.stderr
    assert [line.split()[:2] for line in (asked / "earliest.txt").read_text().splitlines()] == [["tiny", "claims"]]
    assert not (asked / ".snakemake/metadata").is_symlink(), "the memory of another workflow was moved"

    record = json.loads((asked / "results/provenance/train_probes/tiny/fp32/claims.clean.json").read_text())
    assert (record["rule"], record["code"]["script"]) == ("train_probes", "train_probes.py")
    audit = project.conceptdepth("audit", str(asked / "results/tables/concept_depth.csv"), "--directory", str(asked))
    assert audit.returncode == 0, audit.stdout + audit.stderr
    again = dry_run(asked, ("--snakefile", str(host), "--workflow-profile", profile), elsewhere.variables())
    assert "Nothing to be done" in again.stdout
    assert "localrules" not in again.stdout + again.stderr, "rules under other names would be jobs of a cluster"

    monkeypatch.chdir(asked)
    book = json.loads((ROOT / "examples/study/notebooks/first_look.ipynb").read_text())
    seen: dict = {}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            exec(cell["source"], seen)
    assert set(seen["scores"]["dataset"]) == set(seen["depths"]["dataset"]) == {"claims"}


def test_the_study_plans_its_own_data_and_reads_it(project, tmp_path):
    study = Project(shutil.copytree(ROOT / "examples/study", tmp_path / "study"), project.hub)
    (study.folder / "concept-depth").symlink_to(project.folder)
    overlay = ("--snakefile", "concept-depth/Snakefile", "--configfile", "config/study.yaml")
    alone = [line.split() for line in planned(study, *overlay)]
    assert ["extract_activations", "1"] in alone
    jobs = [line.split() for line in planned(study)]
    assert jobs == sorted([["study", "1"], *([f"concepts_{rule}", n] for rule, n in alone)])
    prompts = "results/prompts/even_numbers.clean.jsonl"
    commands = f"BIN={Path(sys.executable).parent}"
    made = study.run("make", "run", commands, f"ARGS=--cores 1 -- {prompts}")
    assert made.returncode == 0, made.stderr
    rows = [json.loads(line) for line in (study.folder / prompts).read_text().splitlines()]
    with (study.folder / "data/own.csv").open(newline="") as stream:
        own = {row["id"]: row for row in csv.DictReader(stream)}
    assert len(rows) == len(own) == 80
    for row in rows:
        one = own[row["id"]]
        assert row["prompt"].endswith(one["statement"])
        assert (row["label"], row["group"]) == (1 - int(one["truth"]), one["number"]), "class 0 is true"
        assert int(one["truth"]) == (
            one["statement"] == f"The number {one['number']} is {PARITY[int(one['number']) % 2]}."
        )
