"""Helpers of the other files: the grid of the run, and values that depend on wildcards."""

import gc
import os
import platform
import shlex
import sys

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(here / "workflow_scripts"))

from conceptdepth.configuration import renderings, settings, switches
from conceptdepth.configuration.causal import why_not_causal
from conceptdepth.configuration.check import check_chats, check_config
from conceptdepth.configuration.schema import filled, on_top_of_files
from conceptdepth.configuration.written import check_files
from conceptdepth.provenance.digest import code_digest
from conceptdepth.ground.disk import told
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import CONFIDENCE, WORDING, WORDS
from conceptdepth.provenance.job import RUN_VARIABLE
from conceptdepth.provenance.memory import keep_memory_in_results
from conceptdepth.provenance.places import check_outputs, check_project, check_results
from conceptdepth.configuration.settings import pins

# A graph of a thousand jobs is many objects and no garbage: looking for it less often saves a tenth of a dry run.
gc.set_threshold(100_000)

# Snakemake puts the path of Python into its commands as it is, in which a space would end it.
if os.path.exists(sys.executable):  # Another module of the same workflow may have quoted it.
    sys.executable = shlex.quote(sys.executable)

# A worker that keeps a model loaded leaves when the Snakemake that it works for ends. In a SLURM job that is the
# first of several, which start each other.
slurm_job = os.environ.get("SLURM_JOB_ID", "")
if not (slurm_job and os.environ.get(RUN_VARIABLE, "").startswith(f"{slurm_job}/")):
    os.environ[RUN_VARIABLE] = f"{slurm_job}/{os.getpid()}@{platform.node()}"

# Records name files from the folder that Snakemake works in, and are found by their names.
if workflow.modifier.path_modifier.replace_prefix("results/") != "results/":
    raise WorkflowError(
        "A module's results lie in results/ of the folder that Snakemake works in: leave out its prefix."
    )

# What a module is given with `config:` comes in the place of the files, and is here put on top of them.
if workflow.modifier.skip_configfile:
    config = on_top_of_files(config)

# The files of the configuration say what a person chose, the schema all else. Jobs read this file too.
config.update(filled(config))

try:
    check_project(here)
    check_files(workflow.configfiles)
    check_config(config)
    if workflow.is_main_process:
        check_chats(config)
    if "--unlock" not in sys.argv:  # Which asks for no room.
        check_results()
    # Snakemake's memory of what was made travels with the results. That of another workflow is left where it is.
    if workflow.modifier.is_main_snakefile():
        keep_memory_in_results()
except (UserError, OSError) as error:
    raise WorkflowError(told(error)) from None


def cells(pattern):
    """Return the pattern filled in for every cell of the grid, each result once."""
    return list(dict.fromkeys(expand(pattern, **settings.grid(config))))


def chosen_cells(pattern):
    """Return the pattern filled in for every cell of the grid that is not a control."""
    return list(dict.fromkeys(expand(pattern, **settings.chosen_grid(config))))


def sources(pattern):
    """Return the pattern filled in for every file that the run fetches."""
    return [path for dataset in config["run"]["datasets"] for path in settings.of_source(config, dataset, pattern)]


def figures(pattern):
    """Return the pattern filled in for each figure that the grid allows and its rule; comparisons need two of a kind."""
    grid = settings.grid(config)
    compared = [f"{name}s" for name in ("perturbation", "quantization") if len(grid[name]) > 1]
    rules = {"accuracy": "plot_accuracy", "depths": "plot_depths"}
    rules |= {name: f"plot_comparison__{name}" for name in compared}
    rules |= {"drift": "plot_drift"} if settings.compares(config) else {}
    rules |= {"positions": "plot_positions"} if settings.varies(config) else {}
    rules |= (
        {"transfer": "plot_transfer"} if if_several_datasets(*if_transferred("results/tables/transfer.csv")) else {}
    )
    return expand(pattern, zip, name=list(rules), rule=list(rules.values()))


def reported(figure, category, label):
    """Return the path of a figure for the report, with the caption of its name in ``report/``.

    Snakemake sorts categories and labels as words: they have no numbers, which would have gaps where a run has not all figures.
    """
    name = os.path.basename(figure).removesuffix(".svg")
    return report(figure, caption=f"../report/{name}.rst", category=category, labels={"figure": label})


def published_table(name):
    """Return the path of a table of published numbers, which lies beside the Snakefile."""
    return local(os.path.relpath(here / f"resources/published/{name}.csv"))


def files_of_page(name):
    """Return the paths of what a page is made of, which lie beside the Snakefile: a template, styles and scripts."""
    found = sorted(path for path in (here / f"resources/{name}").iterdir() if path.suffix in (".html", ".css", ".js"))
    return [local(os.path.relpath(path)) for path in found]


def if_published(*paths):
    """Return the paths if a cell of the run has numbers that the paper's authors published, else none."""
    return list(paths) if settings.published_cells(config) else []


def if_baselines(pattern):
    """Return the pattern filled in for the texts of every cell if the run has baselines of them, else nothing."""
    return cells(pattern) if config["controls"]["baselines"] else []


def if_audited(pattern):
    """Return the pattern filled in for every dataset of the run if datasets are audited, else nothing."""
    return cells(pattern) if config["data_audit"]["policy"] != "off" else []


def if_compared(pattern):
    """Return the pattern filled in for every model and dataset if their activations are compared, else nothing."""
    return cells(pattern) if settings.compares(config) else []


def if_varied(*paths):
    """Return the paths if the run reads the same statements in more than one way, else none."""
    return list(paths) if settings.varies(config) else []


def if_simulated(*paths):
    """Return the paths if the run holds its estimators against known truth, else none."""
    return list(paths) if config["simulation"]["repetitions"] else []


def if_transferred(*paths):
    """Return the paths if probes are tested where they were not trained, else none."""
    return list(paths) if config["transfer"]["measured"] else []


def if_partial(*paths):
    """Return the paths if probes are trained on features without nuisances too, else none."""
    return list(paths) if config["controls"]["partial_out"] else []


def of_nuisances(kinds, pattern):
    """Return an input function that gives the pattern if one of some nuisances is taken out of features, else nothing.

    A model is as confident in a rerun as in the weight format that is run again.
    """

    def chosen(wildcards):
        own = dict(wildcards.items()) | {"quantization": settings.weight_format(config, wildcards.quantization)}
        return [pattern.format(**own)] if set(kinds) & set(config["controls"]["partial_out"]) else []

    return chosen


def if_several_datasets(*paths):
    """Return the paths if the run has at least two datasets, else none."""
    return list(paths) if len(config["run"]["datasets"]) > 1 else []


def if_dropped(pattern):
    """Return an input function that gives the pattern if statements with too long prompts are left out, else nothing."""
    return lambda wildcards: (
        [pattern.format(**wildcards)] if switches.under(config, wildcards)["prompts"]["too_long"] == "drop" else []
    )


def entry(registry, *keys):
    """Return a params function that gives the named keys of the wildcard's registry entry."""
    return lambda wildcards: settings.chosen_keys(
        switches.under(config, wildcards)[f"{registry}s"][wildcards[registry]], keys
    )


def entries_of_run(registry, *keys):
    """Return a params function that gives the named keys of all entries of a registry that the run selects."""
    return lambda wildcards: {
        name: settings.chosen_keys(switches.under(config, wildcards)[f"{registry}s"][name], keys)
        for name in sorted(config["run"][f"{registry}s"])
    }


def source_file(pattern):
    """Return an input function that gives the pattern for the file behind a dataset; a generator has none."""
    return lambda wildcards: settings.of_source(config, wildcards.dataset, pattern)


def instruction(wildcards):
    """Return the settings that decide what stands in prompts beside the texts."""
    return settings.chosen_keys(switches.under(config, wildcards)["prompts"], ["instruction"])


def of_rendering(decide):
    """Return a params function that gives what a function of `renderings` says of the wildcards' dataset and rendering."""
    return lambda wildcards: decide(switches.under(config, wildcards), wildcards.dataset, wildcards.perturbation)


def chat_of_rendering(wildcards):
    """Return how the model's chat template is applied to the prompts of a rendering; nothing if it is not."""
    return renderings.chat_settings(switches.under(config, wildcards), wildcards.perturbation)


def renderings_of_run(wildcards):
    """Return what each rendering of the run does to a dataset, and to models that chat."""
    return renderings.all_renderings(switches.under(config, wildcards), wildcards.dataset)


def extraction_settings(wildcards):
    """Return the settings that decide the activations of a cell."""
    return settings.extraction_settings(switches.under(config, wildcards), wildcards.quantization)


def answer_settings(wildcards):
    """Return the settings that decide the model's own answers in a cell."""
    return settings.answer_settings(config, wildcards.dataset, wildcards.quantization)


def answers_of(wildcards):
    """Return the words of both classes of a dataset."""
    return settings.answer_words(config, wildcards.dataset)


def cells_of_model(pattern):
    """Return the pattern filled in for every dataset and perturbation of the grid; the rest stays as wildcards."""
    names = {"model": "{model}", "quantization": "{quantization}"}
    return expand(pattern, **(settings.grid(config) | names))


def prompts_of_dataset(pattern):
    """Return the pattern filled in for every perturbation of the grid; the dataset stays as a wildcard."""
    return expand(pattern, perturbation=config["run"]["perturbations"], allow_missing=True)


def compared_cells(pattern):
    """Return the pattern filled in for all cells that are compared with each other; the rest stays as wildcards."""
    return expand(pattern, **settings.compared(config), allow_missing=True)
