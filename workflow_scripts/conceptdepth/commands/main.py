"""The command line: ``conceptdepth``, or ``python -m conceptdepth`` in the folder of the workflow.

A function is a subcommand: its options, its help, its exit code. The module that does the work is imported when it is
called, so that ``--help`` and the completion of a shell answer at once.
"""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from conceptdepth.commands.ends import leave
from conceptdepth.commands.options import ANY, WithSnakemake, a_share, above_zero, one_or_more
from conceptdepth.commands.place import check_place
from conceptdepth.configuration.assumptions import Assumptions
from conceptdepth.depth.quantities import DEFAULT_QUANTITIES, Quantity
from conceptdepth.ground.errors import UsageError, one_of

app = typer.Typer(
    name="conceptdepth",
    help="Ask about a run of Concept Depth and what it made. `snakemake` runs it.",
    rich_markup_mode=None,  # Boxes around help and errors are for screens alone.
    pretty_exceptions_enable=False,
)


@app.callback()
def here(context: typer.Context) -> None:
    """Refuse to work without the workflow, or in the folder of another copy, whose code would not be what runs."""
    check_place(context.invoked_subcommand or "")


@app.command(cls=WithSnakemake, options_metavar=ANY)
def config(
    context: typer.Context,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Print the registries of models and datasets whole.")
    ] = False,
) -> int:
    """Print the whole configuration, and where each value is from."""
    from conceptdepth.commands.config import run

    return run(context.args, everything=everything)


@app.command(cls=WithSnakemake, options_metavar=ANY)
def why(context: typer.Context) -> int:
    """Say in words why outputs are stale."""
    from conceptdepth.commands.why import run

    return run(context.args)


@app.command(cls=WithSnakemake, options_metavar=ANY)
def costs(
    context: typer.Context,
    *,
    whole_grid: Annotated[bool, typer.Option("--whole-grid", help="Count cells that are up to date, too.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, in bytes; null is unknown.")
    ] = False,
    characters_per_token: Annotated[
        float, above_zero("Characters of a token where the tokenizer is not here.")
    ] = Assumptions.characters_per_token,
    teraflops_fp32: Annotated[
        float, above_zero("Peak of the GPU for fp32, 10^12 operations a second.")
    ] = Assumptions.teraflops_fp32,
    teraflops: Annotated[float, above_zero("Peak for the other formats.")] = Assumptions.teraflops,
    share: Annotated[float, above_zero("Share of the peak that is reached.")] = Assumptions.share,
    read_gb_per_second: Annotated[
        float, above_zero("How fast weights are read, 10^9 bytes a second.")
    ] = Assumptions.read_gb_per_second,
) -> int:
    """Say what a run will cost: memory, disk, tokens, GPU hours.

    For every model and weight format. Nothing is fetched or loaded. Cells whose activations are up to date cost nothing
    and are left out. The numbers are assumptions: what cannot be known before a run.
    """
    from conceptdepth.commands.costs import run

    assumptions = Assumptions(characters_per_token, teraflops_fp32, teraflops, share, read_gb_per_second)
    return run(context.args, assumptions, whole_grid=whole_grid, as_json=as_json)


@app.command()
def items(
    *,
    resolution: Annotated[float, typer.Option(parser=a_share, metavar="NUMBER", help="Widest interval.")] = 0.1,
    quantity: Annotated[
        list[Quantity] | None,
        typer.Option(
            metavar="NAME",
            show_default=one_of(DEFAULT_QUANTITIES),
            help=f"A quantity: {one_of(Quantity)}; give the option again for another.",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Bootstrap draws of each size.")] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; null is more than what is tried.")] = False,
) -> int:
    """Say how many test statements a resolution of depth takes.

    From the predictions of a finished run. For each cell: how wide an interval is now, and how many statements must be
    tested for one that is at most as wide as the resolution. docs/depth.md says what is assumed.
    """
    from conceptdepth.commands.items import run

    return run(quantity or DEFAULT_QUANTITIES, resolution=resolution, draws=draws, as_json=as_json)


@app.command(cls=WithSnakemake, options_metavar=ANY)
def check_model(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            show_default=False, help="A name of the registry, a folder, a GGUF file, or a repository of the hub."
        ),
    ],
    *,
    quantization: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Weight format, as in run.quantizations.")
    ] = "fp32",
    device: Annotated[
        str | None, typer.Option(show_default="execution.device", metavar="NAME", help="auto, cpu or cuda.")
    ] = None,
) -> int:
    """Load a model and say whether it is read right.

    What would be stored is tested against the plain model; layers, sites and tokens are printed. The first thing to
    type with a new model, which need not be in the registry. Exit code 0: supported. 1: refused, with the reason.
    """
    from conceptdepth.commands.check_model import run

    return run(model, context.args, quantization=quantization, device=device)


@app.command(cls=WithSnakemake, options_metavar="[ARGUMENTS OF SNAKEMAKE]")
def report(context: typer.Context) -> int:
    """Audit everything again and build results/report.html.

    Of Snakemake's arguments it takes --configfile, --config, --profile, --cores, --snakefile and --directory: those of
    the run that is reported.
    """
    from conceptdepth.commands.report import run

    return run(context.args)


@app.command()
def audit(
    file: Annotated[str | None, typer.Argument(show_default=False, help="An output, or a copy of one.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All outputs in the results folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    directory: Annotated[Path, typer.Option(help="The folder in which snakemake ran.")] = Path(),
) -> int:
    """Say where outputs come from, and check that nothing changed.

    Exit code 0: intact. 1: changed since. 2: incomplete.
    """
    if (file is None) != everything:
        raise UsageError("give either an output of the workflow, or --all.")
    from conceptdepth.commands.audit import run

    return run(file, directory=directory, as_json=as_json)


@app.command()
def archive(
    file: Annotated[Path, typer.Argument(help="The archive.")] = Path("results/concept-depth.crate.zip"),
    *,
    with_activations: Annotated[
        bool, typer.Option("--with-activations", help="Put the activation files in, too.")
    ] = False,
) -> int:
    """Archive a run as an RO-Crate, one zip file.

    Figures, tables, records, configuration and code. The crate follows the Provenance Run Crate profile,
    https://w3id.org/ro/wfrun/provenance/0.6
    """
    from conceptdepth.commands.archive import run

    return run(file, with_activations=with_activations)


@app.command()
def export(
    *,
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="Where folders of cells go.")] = Path("results/bank"),
    model: Annotated[list[str] | None, one_or_more("A model")] = None,
    dataset: Annotated[list[str] | None, one_or_more("A dataset")] = None,
) -> int:
    """Export the probes of a run as safetensors with model cards.

    A folder for each cell with linear probes: directions of all layers and their controls, what they were trained on
    and how good they are, and the forms that steering tools take. docs/probe_bank.md says how to use them.
    """
    from conceptdepth.commands.export import run

    return run(to, models=model or (), datasets=dataset or ())


@app.command()
def jobs(
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Return when none of them is left.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel them.")] = False,
    seconds: Annotated[
        float, typer.Option(min=0, metavar="NUMBER", help="Seconds between two looks at the queue.")
    ] = 30,
) -> int:
    """List, wait for or cancel the SLURM jobs of this folder.

    Those that run, and those that a Snakemake that died has left in the queue.
    """
    if wait and cancel:
        raise UsageError("give --wait or --cancel, not both.")
    from conceptdepth.commands.jobs import run

    return run(wait=wait, cancel=cancel, seconds=seconds)


@app.command()
def data() -> int:
    """Print DATA.md: the table of all datasets in the registry."""
    from conceptdepth.commands.data import run

    return run()


@app.command()
def keys() -> int:
    """Write the table of keys in config/README.md anew."""
    from conceptdepth.commands.keys import run

    return run()


def main() -> NoReturn:
    """Do what was typed and leave with its exit code."""
    leave(app)
