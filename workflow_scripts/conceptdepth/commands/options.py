"""Kinds of options and arguments that several subcommands take."""

from typing import Any

import typer
from typer.core import TyperCommand


class WithSnakemake(TyperCommand):
    """A subcommand that hands on the words that it does not know, in their order."""

    allow_extra_args = True
    ignore_unknown_options = True

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Leave ``--``, which ends a list of values, and what is behind it to Snakemake."""
        end = args.index("--") if "--" in args else len(args)
        super().parse_args(ctx, args[:end])
        ctx.args = [*ctx.args, *args[end:]]
        return ctx.args


def above_zero(what: str) -> Any:
    """Return an option that takes a number above 0."""
    return typer.Option(help=what, parser=positive, metavar="NUMBER")


def one_or_more(what: str) -> Any:
    """Return an option that takes a name each time that it is given, none meaning all."""
    return typer.Option(help=f"{what}; give the option again for another.", metavar="NAME", show_default="all")


def positive(text: str) -> float:
    """Read a number above 0."""
    if not (found := number(text)) > 0:
        raise typer.BadParameter(f"{text} is not above 0.")
    return found


def a_share(text: str) -> float:
    """Read a number between 0 and 1."""
    if not 0 < (found := number(text)) < 1:
        raise typer.BadParameter(f"{text} is not between 0 and 1.")
    return found


def number(text: str) -> float:
    """Read a number."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number.") from None


ANY = "[OPTIONS] [ARGUMENTS OF SNAKEMAKE]"
"""What a subcommand takes that plans a run."""
