"""Say what a run will cost before it runs: memory, disk, tokens and GPU hours of every model and weight format.

    python workflow_scripts/costs.py [--whole-grid] [--json] [assumptions] [any arguments of snakemake]

Nothing is fetched or loaded. Cells whose activations are up to date cost nothing and are left out.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from conceptdepth.configuration import settings
from conceptdepth.configuration.costs import (
    READ_BYTES,
    Assumptions,
    Cost,
    Texts,
    Tokens,
    cost,
    counted_tokens,
    estimated_tokens,
    expected_texts,
    rendered_texts,
    total,
)
from conceptdepth.configuration.plan import Plan, planned
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.jsonl import read_jsonl
from conceptdepth.models.weights import model_folder
from conceptdepth.provenance.chain import counted
from rich.console import Console
from rich.table import Column, Table

HELP = {
    "characters_per_token": "where no tokenizer is here",
    "teraflops_fp32": "peak of the GPU for fp32, 10^12 operations a second",
    "teraflops": "peak for the other formats",
    "share": "share of the peak that is reached",
    "read_gb_per_second": "how fast weights are read, 10^9 bytes a second",
}


def main() -> int:
    """Print the costs of the run that the command line describes."""
    arguments, of_snakemake = parse_arguments()
    assumptions = Assumptions(**{field.name: getattr(arguments, field.name) for field in fields(Assumptions)})
    try:
        with planned(of_snakemake) as plan:
            estimator = Estimator(plan, assumptions)
            costs = list(estimator.costs(estimator.all_cells() if arguments.whole_grid else estimator.stale_cells()))
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps({"assumptions": asdict(assumptions), "costs": [asdict(row) for row in costs]}, indent=1))
    else:
        show(costs, assumptions, whole_grid=arguments.whole_grid)
    return 0


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what is not for this script is for Snakemake."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="costs.py", allow_abbrev=False
    )
    parser.add_argument("--whole-grid", action="store_true", help="count cells that are up to date, too")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, in bytes; null is unknown")
    for field in fields(Assumptions):
        option = "--" + field.name.replace("_", "-")
        text = f"{HELP[field.name]} (default: %(default)s)"
        parser.add_argument(option, type=positive, default=field.default, metavar="NUMBER", help=text)
    return parser.parse_known_args()


def positive(text: str) -> float:
    """Read a number above 0."""
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


class Estimator:
    """What is known of the cells of a planned run: prompts and tokenizers that are here, hints of the registries."""

    def __init__(self, plan: Plan, assumptions: Assumptions) -> None:
        """Take a plan of Snakemake, which tells what is stale."""
        self.config = plan.config
        self.assumptions = assumptions
        self._stale = {rule: [] for rule in ("extract_activations", "render_prompts", "fetch_model")}
        for job in plan.jobs:
            if job.rule.name in self._stale:
                self._stale[job.rule.name].append(dict(job.wildcards.items()))
        self._prompts: dict[tuple[str, str], list[str] | None] = {}
        self._tokens: dict[tuple[str, str, str], Tokens] = {}

    def stale_cells(self) -> list[dict[str, str]]:
        """Return the cells that would be extracted."""
        return self._stale["extract_activations"]

    def all_cells(self) -> list[dict[str, str]]:
        """Return all cells of the grid."""
        grid = settings.grid(self.config)
        return [
            {"model": model, "quantization": quantization, "dataset": dataset, "perturbation": perturbation}
            for model in grid["model"]
            for quantization in grid["quantization"]
            for dataset in grid["dataset"]
            for perturbation in grid["perturbation"]
        ]

    def costs(self, cells: Sequence[Mapping[str, str]]) -> Iterator[Cost]:
        """Give the cost of each model and weight format, in the order of the run."""
        grid = settings.grid(self.config)
        for model in grid["model"]:
            for quantization in grid["quantization"]:
                chosen = [cell for cell in cells if (cell["model"], cell["quantization"]) == (model, quantization)]
                if chosen:
                    known = [self.size(model, cell["dataset"], cell["perturbation"]) for cell in chosen]
                    yield cost(self.config, model, quantization, known, self.assumptions)

    def size(self, model: str, dataset: str, perturbation: str) -> tuple[Texts, Tokens] | None:
        """Return texts and tokens of a cell: from its prompts if they are here, else from the registry's hint."""
        prompts = self.prompts(dataset, perturbation)
        if prompts is None:
            texts = expected_texts(self.config["datasets"][dataset], self.config["perturbations"][perturbation])
            return texts and (texts, estimated_tokens(texts, self.assumptions.characters_per_token))
        key = (model, dataset, perturbation)
        if key not in self._tokens:
            self._tokens[key] = self.tokens(model, prompts)
        return rendered_texts(prompts), self._tokens[key]

    def prompts(self, dataset: str, perturbation: str) -> list[str] | None:
        """Return the prompts of a dataset, or None if they are not here or stale."""
        key = (dataset, perturbation)
        if key not in self._prompts:
            path = Path(f"results/prompts/{dataset}.{perturbation}.jsonl")
            stale = {"dataset": dataset, "perturbation": perturbation} in self._stale["render_prompts"]
            here = path.is_file() and not stale
            self._prompts[key] = [row["prompt"] for row in read_jsonl(path)] if here else None
        return self._prompts[key]

    def tokens(self, model: str, prompts: Sequence[str]) -> Tokens:
        """Count the tokens of prompts if the model's tokenizer is here, else estimate them."""
        description = Path(f"results/models/{model}/model.json")
        stale = {"model": model} in self._stale["fetch_model"]
        own_code = self.config["models"][model].get("trust_remote_code", False)
        if stale or own_code or not description.is_file():
            return estimated_tokens(rendered_texts(prompts), self.assumptions.characters_per_token)
        os.environ["HF_HUB_OFFLINE"] = "1"
        from conceptdepth.models.loading import load_tokenizer
        from conceptdepth.models.tokens import tokenize

        return counted_tokens(tokenize(load_tokenizer(model_folder(description)), prompts))


def show(costs: Sequence[Cost], assumptions: Assumptions, *, whole_grid: bool) -> None:
    """Print the costs as a table with totals, and what was assumed below it."""
    # In a file or a pipe a line is as long as what it says.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 10_000)
    if not costs:
        console.print("No activations are to be extracted; --whole-grid counts all cells.")
        return
    titles = ["cells", "weights", "memory", "loads", "statements", "tokens", "to compute", "activations", "GPU hours"]
    columns = [Column(title, justify="right") for title in titles]
    table = Table("model", "format", *columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in costs:
        table.add_row(*cells_of(row))
    table.add_section()
    table.add_row(*totals_of(costs), style="bold")
    console.print(table)
    console.print()
    for line in notes(costs, assumptions, whole_grid=whole_grid):
        console.print(line, markup=False)


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
            "`snakemake --until render_prompts` makes prompts without any model."
        )
    shapeless = sorted({row.model for row in costs if row.activation_bytes is None and row.cells > row.unknown_cells})
    if shapeless:
        yield f"Activations: `layers` and `d_model` are not in the registry for {', '.join(shapeless)}."
    yield "Weights: every parameter in its format; embeddings and norms of int8 and nf4 are larger."
    yield "Memory: what a job asks Snakemake for; int8 and nf4 are quantized from float32. The total is the largest."
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


if __name__ == "__main__":
    sys.exit(main())
