"""Helpers of all rule files: the grid of the run, and what a job may know of the configuration."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from conceptdepth.config import check_config
from conceptdepth.digest import code_digest, file_sha256
from conceptdepth.errors import UserError
from conceptdepth.sources import file_name

# Compute jobs never touch the network; fetch_source and fetch_model lift this for themselves.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

try:
    check_config(config)
except UserError as error:
    raise WorkflowError(str(error)) from None


def cells(pattern):
    """Return the pattern filled in for every cell of the grid."""
    run = config["run"]
    names = {"model": "models", "quantization": "quantizations", "dataset": "datasets", "perturbation": "perturbations"}
    return expand(pattern, **{wildcard: run[key] for wildcard, key in names.items()})


def figures(extension):
    """Return the figures that the grid allows: a comparison needs two things to compare."""
    names = ["accuracy", "depths"]
    names += ["perturbations"] if len(config["run"]["perturbations"]) > 1 else []
    names += ["quantizations"] if len(config["run"]["quantizations"]) > 1 else []
    return expand("results/figures/{name}.{extension}", name=names, extension=extension)


def entry(registry, *keys):
    """Return a params function that gives the named keys of the wildcard's registry entry, in a fixed order."""

    def chosen(wildcards):
        found = config[registry + "s"][getattr(wildcards, registry)]
        return {key: in_order(found[key]) for key in keys if key in found}

    return chosen


def in_order(value):
    """Sort the keys of nested mappings: Snakemake would rerun a job because two keys changed places."""
    return {key: in_order(value[key]) for key in sorted(value)} if isinstance(value, dict) else value


def pinned(source):
    """Return a source with the digest of its bytes; a local file gets the one that it has now."""
    if "path" in source and Path(source["path"]).is_file():
        return in_order(source | {"sha256": file_sha256(source["path"])})
    return in_order(source)
