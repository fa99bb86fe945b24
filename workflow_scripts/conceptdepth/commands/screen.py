"""How commands print: to a person's screen, or into a file or a pipe."""

import sys

from rich.console import Console
from rich.table import Column, Table


def screen() -> Console:
    """Return standard output. In a file or a pipe a line is as long as what it says."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 10_000)


def plain_table(*columns: Column | str, header: bool = True) -> Table:
    """Return a table without lines, two spaces between its columns."""
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=header)
