"""What the catalog of Snakemake workflows asks of a repository that it lists with instructions."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_catalog_finds_what_it_asks_for():
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    assert (ROOT / "workflow/Snakefile").is_file()
    assert (ROOT / "config/README.md").is_file()
    assert (ROOT / "config/config.yaml").is_file(), "which snakedeploy names as the configuration"


def test_what_is_said_of_usage_is_so():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage == {"software-stack-deployment": {"conda": True}, "report": True}
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert rules.count("    script:") == rules.count("    conda:"), "each rule has its environment"
    assert "report(" in rules
