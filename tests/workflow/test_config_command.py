"""`conceptdepth config` prints the configuration that Snakemake runs with, and says where each value is from."""

import re
import subprocess
import sys

import pytest
import yaml
from project import OVERLAY, Project, make_project
from whole_configuration import configuration, read

MORE = {"run": {"datasets": ["coins"]}, "activations": {"fixed_batch_tokens": {"nf4": 8}}, "probes": {"C": 2.0}}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that no test changes."""
    project = make_project(tmp_path_factory.mktemp("config") / "project")
    (project.folder / "more.yaml").write_text(yaml.safe_dump(MORE))
    (project.folder / "site").mkdir()
    (project.folder / "site/config.yaml").write_text("configfile: overlay.yaml\nconfig: [source_mirror=there]\n")
    return project


def printed(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command answers to options."""
    return project.run(sys.executable, "-m", "conceptdepth", "config", *arguments)


def test_all_of_it_is_what_snakemake_merges(project):
    result = printed(project, "--all", "--configfile", "overlay.yaml", "more.yaml", "--config", "source_mirror=here")
    assert (result.returncode, result.stderr) == (0, "")
    assert yaml.safe_load(result.stdout) == configuration(OVERLAY, MORE, {"source_mirror": "here"})
    as_job = project.snakemake("results/tables/configuration.yaml", "--quiet", "all")
    assert as_job.returncode == 0, as_job.stderr
    recorded = yaml.safe_load((project.folder / "results/tables/configuration.yaml").read_text())
    whole = configuration(OVERLAY)
    sections = set(recorded) - {"models", "datasets", "perturbations"}
    assert {key: recorded[key] for key in sections} == {key: whole[key] for key in sections}


def test_what_is_selected_and_where_it_is_from(project):
    result = printed(project, "--configfile", "overlay.yaml", "more.yaml")
    config = yaml.safe_load(result.stdout)
    assert [list(config["models"]), list(config["datasets"])] == [["tiny", "cached"], ["coins"]]
    for line in (
        "  C: 2.0 # more.yaml",
        "  seeds: [1, 2] # overlay.yaml",
        "  split: grouped # config/config.yaml",
        "  max_iter: 100 # default",
        "    nf4: 8 # more.yaml",
        "    int8: 4096 # default",
    ):
        assert line in [re.sub(" +#", " #", printed) for printed in result.stdout.splitlines()]


def test_a_profile_counts(project):
    result = printed(project, "--profile", "site")
    config = yaml.safe_load(result.stdout)
    assert (config["run"], config["source_mirror"]) == (OVERLAY["run"], "there")
    assert "source_mirror: there" in result.stdout


def test_the_shipped_overlays_set_each_value_that_the_last_of_them_has(project):
    result = printed(project, "--all", "--configfile", "config/paper.yaml", "config/rigorous.yaml")
    assert yaml.safe_load(result.stdout) == configuration("paper", "rigorous")
    assert result.stdout.count("# config/rigorous.yaml\n") == len(list(leaves(read("rigorous"))))


def leaves(content):
    """Give every value of nested mappings."""
    for value in content.values():
        yield from leaves(value) if isinstance(value, dict) and value else [value]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--config", "probs=1"], 1, "Error: configuration: unknown key 'probs' (did you mean 'probes'?)"),
        (["--config", "1=1"], 1, "Error: --config: Invalid config definition"),
        (["--nonsense"], 2, "Error: unrecognized arguments: --nonsense"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(project, arguments, code, message):
    result = printed(project, *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr
