"""Statements that are left out because a prompt of theirs is too long for a model: ``prompts.too_long: drop``.

One that a single model cannot take, under a single perturbation, is left out of all cells of its dataset: what is
compared comes from the same statements.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file


@dataclass(frozen=True)
class TooLong:
    """A prompt that is too long for a model."""

    id: str
    """Of its statement."""
    model: str
    perturbation: str
    tokens: int
    """What the model would read."""
    allowed: int
    """What it takes."""


Row = dict[str, Any]
"""A statement."""

COLUMNS = [field.name for field in fields(TooLong)]
"""Columns of the table."""


def write_too_long(path: str | Path, prompts: Iterable[TooLong]) -> None:
    """Write a table of too long prompts, a row for each."""
    with complete_file(path) as part, open(part, "w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(map(asdict, prompts))


def read_too_long(path: str | Path) -> list[TooLong]:
    """Read what `write_too_long` wrote."""
    with open(path, encoding="utf-8", newline="") as stream:
        return [
            TooLong(row["id"], row["model"], row["perturbation"], int(row["tokens"]), int(row["allowed"]))
            for row in csv.DictReader(stream)
        ]


def parted(statements: Iterable[Row], prompts: Iterable[TooLong]) -> tuple[list[Row], list[Row]]:
    """Return the statements that are kept, and those that are left out."""
    ids = {prompt.id for prompt in prompts}
    kept: list[Row] = []
    left_out: list[Row] = []
    for statement in statements:
        (left_out if statement["id"] in ids else kept).append(statement)
    return kept, left_out


def described(statements: Sequence[Row], prompts: Sequence[TooLong]) -> str:
    """Say how many of some statements are left out, of which class, and for which models."""
    _, left_out = parted(statements, prompts)
    said = f"{len(left_out)} of {len(statements)} statements are left out as too long"
    if not left_out:
        return said
    ones = sum(statement["label"] for statement in left_out)
    models = {prompt.model: f"{prompt.model} (at most {prompt.allowed} tokens)" for prompt in prompts}
    return f"{said} for {', '.join(models.values())}: {len(left_out) - ones} of class 0 and {ones} of class 1"


def check_classes(dataset: str, statements: Iterable[Row], prompts: Sequence[TooLong]) -> None:
    """Raise `UserError` if a class has no statement that all models can take."""
    kept, left_out = parted(statements, prompts)
    for label in (0, 1):
        ids = {statement["id"] for statement in left_out if statement["label"] == label}
        if ids and label not in {statement["label"] for statement in kept}:
            nearest = min((prompt for prompt in prompts if prompt.id in ids), key=lambda one: one.tokens - one.allowed)
            raise UserError(
                f"datasets.{dataset}: each statement of class {label} is too long for a model of the run: "
                f"{nearest.id!r} has {nearest.tokens} tokens, and {nearest.model} takes at most {nearest.allowed}; "
                f"lower `max_words`, shorten the `template`, or leave {nearest.model} out of `run.models`."
            )
