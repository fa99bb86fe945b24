"""What extraction will cost, before it runs: memory, disk, tokens and GPU hours.

Computed from the configuration and from prompts that are rendered already; no model has to be here. What
neither says is None, never a guess.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conceptdepth.activations.trees import distinct_tokens
from conceptdepth.configuration.assumptions import Assumptions
from conceptdepth.configuration.settings import weight_format
from conceptdepth.datasets.prompts import around, overrides
from conceptdepth.ground.names import RANDOM

WEIGHT_BYTES = {"fp32": 4, "bf16": 2, "int8": 1, "nf4": 0.5, "native": 4, RANDOM: 4}
"""Bytes of a parameter once the model is loaded, as if every one were quantized; embeddings and norms are not.

Of a checkpoint as it is, the most that it may be.
"""

BYTES_PER_PARAMETER = {"fp32": 4, "bf16": 2, "int8": 5, "nf4": 5, "native": 4, RANDOM: 4}
"""Memory of the weights on a processor at its peak, which for int8 and nf4 is while float32 weights are quantized.

Of a checkpoint as it is, the widest that it may be.
"""

MAPPED_BYTES = 2
"""Bytes of a parameter in a checkpoint's file, nearly always.

On its way to a GPU the file is mapped into the job's memory, and each tensor goes to the GPU by itself, where it is
quantized. What of the file has been read counts as the job's until it is closed. What does not fit onto the GPUs stays.
"""

ACTIVATION_BYTES = 4
"""Bytes of a number in an activation file, which are float32."""

READ_BYTES = 4
"""Bytes of a parameter that are read when a model is loaded: the weights of the most exact format."""


@dataclass(frozen=True)
class Texts:
    """The prompts of a dataset under a perturbation, or what to expect of them."""

    statements: int
    characters: float
    """Of all prompts together."""
    distinct: float
    """The same, with each beginning that prompts share counted once, as it is computed once."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of the prompts of a cell."""

    in_prompts: float
    computed: float
    """Those that go through the model, each beginning that prompts share once."""
    exact: bool
    """Counted with the model's tokenizer and not estimated from characters."""


@dataclass(frozen=True)
class Cost:
    """The cells of one model in one weight format."""

    model: str
    quantization: str
    cells: int
    unknown_cells: int
    """Cells of which nothing is known; the sums below are those of the others."""
    weights_bytes: float
    device: str
    """Where jobs are told to run."""
    memory_mb: int
    """What a job asks Snakemake for, without the memory of GPUs."""
    statements: int
    characters: float
    tokens_in_prompts: float
    tokens_computed: float
    tokens_exact: bool
    loads: int
    """How often the model is loaded, if one worker serves all its cells."""
    statement_bytes: int | None
    """Of the vectors of one statement on disk, at most: positions that read the same tokens share theirs. None if the
    registry does not say how many layers the model has, and how wide they are."""
    activation_bytes: float | None
    """Of all statements; None likewise."""
    gpu_hours: float | None
    """None if nothing is known of any cell."""


def rendered_texts(prompts: Sequence[str]) -> Texts:
    """Return the size of rendered prompts.

    In lexicographic order each prompt shares its longest beginning with its predecessor.
    """
    ordered = sorted(prompts)
    shared = sum(len(os.path.commonprefix(pair)) for pair in zip(ordered, ordered[1:]))
    characters = sum(map(len, prompts))
    return Texts(len(prompts), characters, characters - shared)


def expected_texts(dataset: Mapping[str, Any], perturbation: Mapping[str, Any], name: str = "") -> Texts | None:
    """Return the size of prompts by a registry entry's ``size``, or None if it has none.

    What stands before the text in the template is shared by all prompts; texts are taken to share nothing. What a chat
    template adds is not known before the model is here. ``name`` is the dataset's.
    """
    if "size" not in dataset:
        return None
    statements, length = expected_statements(dataset), dataset["size"]["characters"]
    before, after = around(**(dataset["template"] | overrides(perturbation, name)))
    prepended = perturbation.get("prepend", [])
    noise = sum(map(len, prepended)) / len(prepended) if prepended else 0
    own = statements * (noise + length + len(after))
    return Texts(statements, own + statements * len(before), own + len(before))


def expected_statements(dataset: Mapping[str, Any]) -> int:
    """Return how many statements a registry entry with a ``size`` leaves after its cap, an overlay's or its own."""
    counts, cap = dataset["size"]["statements"], dataset.get("max_per_class")
    if isinstance(counts, int):  # Of both classes together, which are taken to be equal.
        counts = [counts // 2, counts - counts // 2]
    return sum(counts if cap is None else (min(count, cap) for count in counts))


def estimated_tokens(texts: Texts, characters_per_token: float) -> Tokens:
    """Return the tokens of texts by their length."""
    return Tokens(texts.characters / characters_per_token, texts.distinct / characters_per_token, exact=False)


def counted_tokens(prompts: Sequence[list[int]]) -> Tokens:
    """Return the tokens of tokenised prompts, of which extraction computes the distinct ones."""
    return Tokens(sum(map(len, prompts)), distinct_tokens(prompts), exact=True)


def cost(
    config: Mapping[str, Any],
    model: str,
    quantization: str,
    cells: Sequence[tuple[Texts, Tokens] | None],
    assumptions: Assumptions,
) -> Cost:
    """Return what the given cells of a model in a weight format cost; None is a cell of which nothing is known."""
    entry, weights = config["models"][model], weight_format(config, quantization)
    known = [cell for cell in cells if cell is not None]
    statements = sum(texts.statements for texts, _ in known)
    computed = sum(tokens.computed for _, tokens in known)
    loads = 1 if config["execution"]["keep_model_loaded"] else len(cells)
    read = config["activations"]
    per_statement = statement_bytes(entry, len(read["sites"]), len(read["positions"]))
    return Cost(
        model=model,
        quantization=quantization,
        cells=len(cells),
        unknown_cells=len(cells) - len(known),
        weights_bytes=entry["parameters"] * WEIGHT_BYTES[weights],
        device=config["execution"]["device"],
        memory_mb=extraction_memory_mb(config, model, quantization),
        statements=statements,
        characters=sum(texts.characters for texts, _ in known),
        tokens_in_prompts=sum(tokens.in_prompts for _, tokens in known),
        tokens_computed=computed,
        tokens_exact=all(tokens.exact for _, tokens in known),
        loads=loads,
        statement_bytes=per_statement,
        activation_bytes=per_statement * statements if known and per_statement is not None else None,
        gpu_hours=gpu_hours(entry["parameters"], weights, computed, loads, assumptions) if known else None,
    )


def extraction_memory_mb(config: Mapping[str, Any], model: str, quantization: str, **_: str) -> int:
    """Return the memory to ask for, in MB: beside a GPU if all weights must go to one, else on a processor."""
    parameters, weights = config["models"][model]["parameters"], weight_format(config, quantization)
    execution = config["execution"]
    if execution["device"] == "cuda" and not execution.get("max_memory"):
        return memory_beside_gpu_mb(parameters, weights)
    return memory_mb(parameters, weights)


def memory_mb(parameters: int, quantization: str) -> int:
    """Return the memory that an extraction on a processor takes: libraries, a batch and the output, then weights."""
    return 1200 + parameters * BYTES_PER_PARAMETER[quantization] // 10**6


def memory_beside_gpu_mb(parameters: int, quantization: str) -> int:
    """Return the memory that an extraction on a GPU takes of its host.

    That is libraries with those of CUDA, pinned buffers through which vectors leave the GPU, and the checkpoint's file;
    random weights are drawn on the processor, so that they are the same everywhere.
    """
    numbers = BYTES_PER_PARAMETER[RANDOM] if quantization == RANDOM else MAPPED_BYTES
    return 2500 + parameters * numbers // 10**6


def statement_bytes(model: Mapping[str, Any], sites: int, positions: int) -> int | None:
    """Return the bytes on disk of a statement's vectors, or None if the registry does not give their shape."""
    if "layers" not in model or "d_model" not in model:
        return None
    vectors = positions * (sites * model["layers"] + 1)  # The embedding.
    return int(vectors * model["d_model"] * ACTIVATION_BYTES)


def gpu_hours(parameters: int, quantization: str, tokens: float, loads: int, assumptions: Assumptions) -> float:
    """Return the hours of one GPU: 2 operations for each parameter and token, and reading the weights."""
    peak = assumptions.teraflops_fp32 if quantization in ("fp32", RANDOM) else assumptions.teraflops
    computing = 2 * parameters * tokens / (assumptions.share * peak * 1e12)
    loading = loads * parameters * READ_BYTES / (assumptions.read_gb_per_second * 1e9)
    return (computing + loading) / 3600


MINUTES_OF_A_CELL = 5
"""Minutes that any cell may take: starting, writing, a slow disk."""

MINUTES_OF_UNKNOWN = 120
"""Minutes for the cell of a dataset whose size the registry does not say."""

SLOWER = 3
"""How much slower than `Assumptions` a cluster's GPU may be before a job reaches its time limit."""


def extraction_time(
    config: Mapping[str, Any], model: str, quantization: str, dataset: str, perturbation: str, **_: str
) -> int:
    """Return the minutes to ask a cluster for, for one cell: generous, since a job that takes longer is ended."""
    texts = expected_texts(config["datasets"][dataset], config["perturbations"][perturbation], dataset)
    if texts is None:
        return MINUTES_OF_UNKNOWN
    assumed = Assumptions()
    tokens = estimated_tokens(texts, assumed.characters_per_token).computed
    weights = weight_format(config, quantization)
    hours = gpu_hours(config["models"][model]["parameters"], weights, tokens, 1, assumed)
    return MINUTES_OF_A_CELL + math.ceil(60 * hours * SLOWER)


def total(values: Iterable[float | None]) -> tuple[float, bool]:
    """Return the sum of what is known, and whether all is."""
    values = list(values)
    return sum(value for value in values if value is not None), None not in values
