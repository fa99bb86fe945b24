"""Write down the configuration that the tables and figures belong to."""

from collections.abc import Mapping
from typing import Any

import yaml
from conceptdepth.ground.files import complete_file
from conceptdepth.provenance.job import job


def record_configuration(configuration: Mapping[str, Any], destination: str) -> None:
    """Write the configuration as YAML."""
    with complete_file(destination) as part:
        part.write_text(yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True), encoding="utf-8")


if __name__ == "__main__":
    with job(snakemake):
        record_configuration(snakemake.params.configuration, snakemake.output.configuration)
