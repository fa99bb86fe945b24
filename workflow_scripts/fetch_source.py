"""Bring the pinned bytes of a dataset to this machine."""

from collections.abc import Mapping
from typing import Any

from conceptdepth.datasets.sources import fetch_file
from conceptdepth.ground.errors import UserError
from conceptdepth.provenance.job import job


def check_licence(name: str, entry: Mapping[str, Any]) -> None:
    """Raise `UserError` for a dataset whose licence must be accepted and is not."""
    if not entry.get("accept_licence", True):
        raise UserError(
            f"datasets.{name}: read its licence, {entry['licence']}, and set `datasets.{name}.accept_licence: true` "
            "in an overlay if you accept it."
        )


if __name__ == "__main__":
    with job(snakemake):
        # Not among the params: who accepted a licence does not decide the bytes.
        check_licence(snakemake.wildcards.dataset, snakemake.config["datasets"][snakemake.wildcards.dataset])
        fetch_file(
            f"datasets.{snakemake.wildcards.dataset}",
            snakemake.params.dataset["source"],
            snakemake.output.file,
            snakemake.config.get("source_mirror"),
        )
