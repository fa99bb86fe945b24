"""The table of costs: what is known of each model and weight format in words and units, and what was assumed."""

from collections.abc import Iterator, Sequence

from rich.table import Column

from conceptdepth.commands.screen import plain_table, screen
from conceptdepth.configuration.assumptions import Assumptions
from conceptdepth.configuration.causal_costs import CausalCost
from conceptdepth.configuration.costs import READ_BYTES, Cost, total
from conceptdepth.ground.text import counted


def show(costs: Sequence[Cost], assumptions: Assumptions, *, whole_grid: bool) -> None:
    """Print the costs as a table with totals, and what was assumed below it."""
    console = screen()
    if not costs:
        console.print("No activations are to be extracted; --whole-grid counts all cells.")
        return
    memory = ["GPU memory", "host memory"] if on_gpus(costs) else ["weights", "memory"]
    titles = ["cells", *memory, "loads", "statements", "tokens", "to compute", "activations", "GPU hours"]
    columns = [Column(title, justify="right") for title in titles]
    table = plain_table("model", "format", *columns)
    for row in costs:
        table.add_row(*cells_of(row))
    table.add_section()
    table.add_row(*totals_of(costs), style="bold")
    console.print(table)
    console.print()
    for line in notes(costs, assumptions, whole_grid=whole_grid):
        console.print(line, markup=False)


def show_changed(costs: Sequence[CausalCost]) -> None:
    """Print what changing vectors along concepts costs, a line for each model."""
    console = screen()
    for row in costs:
        asked = f"{row.statements} statements or more, {row.changes} changes of each"
        at = "" if row.layers is None else f" at up to {row.layers} layers"
        as_much = "" if row.tokens is None else f", as much as {count(row.tokens, exact=False)} tokens to compute"
        line = f"Changed along concepts: {counted(row.cells, 'cell')} of {row.model}: {asked}{at}{as_much}."
        console.print(line, markup=False)


def on_gpus(costs: Sequence[Cost]) -> bool:
    """Tell whether all jobs run on GPUs, and not only where there is one."""
    return {row.device for row in costs} == {"cuda"}


def cells_of(row: Cost) -> list[str]:
    """Return a row of the table."""
    known = row.cells > row.unknown_cells
    some = row.unknown_cells > 0
    exact = row.tokens_exact
    return [
        row.model,
        row.quantization,
        str(row.cells),
        size(row.weights_bytes),
        size(row.memory_mb * 1e6),
        str(row.loads),
        amount(f"{row.statements:,}", known, some),
        amount(count(row.tokens_in_prompts, exact), known, some),
        amount(count(row.tokens_computed, exact), known, some),
        amount(size(row.activation_bytes or 0), row.activation_bytes is not None, some),
        amount(f"{row.gpu_hours or 0:.3g}", row.gpu_hours is not None, some),
    ]


def totals_of(costs: Sequence[Cost]) -> list[str]:
    """Return the last row: sums, and of the memory the most."""
    some = any(row.unknown_cells for row in costs)
    known = any(row.cells > row.unknown_cells for row in costs)
    exact = all(row.tokens_exact for row in costs)
    disk, all_disk = total(row.activation_bytes for row in costs)
    hours, all_hours = total(row.gpu_hours for row in costs)
    return [
        "total",
        "",
        str(sum(row.cells for row in costs)),
        "",
        size(max(row.memory_mb for row in costs) * 1e6),
        str(sum(row.loads for row in costs)),
        amount(f"{sum(row.statements for row in costs):,}", known, some),
        amount(count(sum(row.tokens_in_prompts for row in costs), exact), known, some),
        amount(count(sum(row.tokens_computed for row in costs), exact), known, some),
        amount(size(disk), disk > 0, some or not all_disk),
        amount(f"{hours:.3g}", hours > 0, some or not all_hours),
    ]


def amount(text: str, known: bool, at_least: bool) -> str:
    """Write what is known of a sum."""
    if not known:
        return "unknown"
    return f"{text} or more" if at_least else text


def count(number: float, exact: bool) -> str:
    """Write a number of tokens; an estimate has three digits."""
    return f"{number:,.0f}" if exact else f"~{float(f'{number:.3g}'):,.0f}"


def size(number: float) -> str:
    """Write a number of bytes."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number / 1e6:.1f} MB"


def notes(costs: Sequence[Cost], assumptions: Assumptions, *, whole_grid: bool) -> Iterator[str]:
    """Give a line for each thing that a reader of the table must know."""
    if not whole_grid:
        yield "Cells: those that would be extracted now; --whole-grid counts all."
    unknown = sum(row.unknown_cells for row in costs)
    if unknown:
        yield (
            f"Unknown: {counted(unknown, 'cell')} without prompts and without `size` in the registry of datasets; "
            "`snakemake --until render_prompts` makes prompts without loading any model."
        )
    shapeless = sorted({row.model for row in costs if row.activation_bytes is None and row.cells > row.unknown_cells})
    if shapeless:
        yield f"Activations: `layers` and `d_model` are not in the registry for {', '.join(shapeless)}."
    if on_gpus(costs):
        yield "GPU memory: weights in their format (embeddings and norms of int8 and nf4 are larger), without a pass."
        yield "Host memory: what a job asks Snakemake for beside the GPU's. The total is the largest."
    else:
        yield "Weights: every parameter in its format; embeddings and norms of int8 and nf4 are larger."
        yield (
            "Memory: what a job asks Snakemake for; int8 and nf4 are quantized from float32. The total is the largest."
        )
    if sizes := {row.model: row.statement_bytes for row in costs if row.statement_bytes is not None}:
        each = ", ".join(f"{number:,} of {model}" for model, number in sizes.items())
        yield f"Activations: bytes a statement, all sites and positions: {each}; positions of one token share them."
    yield "Loads: one for each model and format, which jobs that run side by side share."
    yield "To compute: each beginning that prompts share is counted once."
    if not all(row.tokens_exact for row in costs):
        characters = f"{assumptions.characters_per_token:g} characters"
        yield f"~: one token for {characters}, where prompts or the model's tokenizer are not here."
    yield (
        f"GPU hours, assumed and not measured: 2 x parameters x tokens to compute at {assumptions.share:.0%} of "
        f"{assumptions.teraflops_fp32:g} (fp32) or {assumptions.teraflops:g} (others) TFLOP/s, and {READ_BYTES} bytes "
        f"a parameter read at {assumptions.read_gb_per_second:g} GB/s for each load."
    )
