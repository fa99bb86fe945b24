"""Helpers of the other files: the grid of the run, and values that depend on wildcards."""

import os
import sys

from snakemake.exceptions import WorkflowError

sys.path.insert(0, f"{workflow.basedir}/workflow_scripts")

from conceptdepth import settings
from conceptdepth.config import check_config
from conceptdepth.digest import code_digest
from conceptdepth.errors import UserError
from conceptdepth.job import RUN_VARIABLE
from conceptdepth.sources import file_name

# A worker that keeps a model loaded leaves when the Snakemake that it works for ends.
os.environ[RUN_VARIABLE] = str(os.getpid())

try:
    check_config(config)
except UserError as error:
    raise WorkflowError(error) from None


def cells(pattern):
    """Return the pattern filled in for every cell of the grid."""
    return expand(pattern, **settings.grid(config))


def figures(extension):
    """Return the figures that the grid allows: a comparison needs two things to compare."""
    comparisons = [name for name in ("perturbations", "quantizations") if len(config["run"][name]) > 1]
    return expand("results/figures/{name}.{extension}", name=["accuracy", "depths", *comparisons], extension=extension)


def entry(registry, *keys):
    """Return a params function that gives the named keys of the wildcard's registry entry."""
    return lambda wildcards: settings.chosen_keys(config[f"{registry}s"][wildcards[registry]], keys)


def source_file(wildcards):
    """Return the fetched file behind a dataset; a generator has none."""
    source = config["datasets"][wildcards.dataset]["source"]
    return [] if "generator" in source else [f"results/sources/{wildcards.dataset}/{file_name(source)}"]


def extraction_memory(wildcards):
    """Return the memory of an extraction job in MB."""
    return settings.memory_mb(config["models"][wildcards.model]["parameters"], wildcards.quantization)


def extraction_priority(wildcards):
    """Return a priority that keeps the cells of a model and weight format together."""
    return -settings.model_rank(config, wildcards.model, wildcards.quantization)
