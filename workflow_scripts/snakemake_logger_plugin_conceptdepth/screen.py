"""Progress on a terminal: an area of a few lines, which nothing overwrites and which leaves nothing behind."""

import io
import os
import sys
import threading
import time

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from snakemake_logger_plugin_conceptdepth.progress import Progress, Step, clock

STREAMS = (1, 2)
"""File descriptors of standard output and error, which jobs inherit."""

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""What stands between these a terminal shows at once, if it can (private mode 2026, synchronized output)."""


class Frames(io.TextIOWrapper):
    """A terminal that shows all of a write or none: a frame is longer than what one call hands over."""

    def write(self, text: str) -> int:
        """Write a text as one frame."""
        return super().write(f"{BEGIN}{text}{END}")


class Screen:
    """Shows the progress at the bottom of the terminal, and above it what is printed meanwhile.

    Also what a process prints that Snakemake starts: as long as this is open, standard output and error are a pipe.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._kept = {number: os.dup(number) for number in STREAMS if os.isatty(number)}
        self._terminal = os.dup(1)
        self._console = Console(file=Frames(os.fdopen(self._terminal, "wb")), force_terminal=True, highlight=False)
        self._live = Live(
            get_renderable=self._area,
            console=self._console,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        reading, writing = os.pipe()
        for number in self._kept:
            os.dup2(writing, number)
        os.close(writing)
        self._reader = threading.Thread(target=self._pass_on, args=(reading,), daemon=True)
        self._reader.start()
        self._live.start()

    def finished(self, step: Step, seconds: float) -> None:
        """Nothing: the area changes by itself."""

    def say(self, text: str) -> None:
        """Print above the area, or wherever else standard error goes."""
        if 2 in self._kept:
            self._print(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the area away, say how far the run came and give the streams back."""
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in self._kept.items():
            os.dup2(descriptor, number)
            os.close(descriptor)
        self._reader.join(timeout=1)  # Ends with the pipe, unless a process that lives on holds it.
        self._live.stop()
        self._console.print(self._progress.verdict())
        self._console.file.close()

    def _print(self, text: str) -> None:
        self._console.print(Text.from_ansi(text), soft_wrap=True)

    def _pass_on(self, reading: int) -> None:
        with os.fdopen(reading, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                self._print(line.rstrip("\n"))

    def _area(self) -> RenderableType:
        if min(size := os.get_terminal_size(self._terminal)) > 0:  # Not where the terminal does not know it.
            self._console.size = ConsoleDimensions(*size)
        running = list(self._progress.running.values())
        room = max(0, self._console.height - 2)
        shown = running if len(running) <= room else running[: max(0, room - 1)]
        more = [f"and {len(running) - len(shown)} more"] if len(shown) < len(running) else []
        now = time.time()
        rows = [self._row(step, now) for step in shown] + more
        return Group(self._head(now), *(Text(row, no_wrap=True, overflow="ellipsis") for row in rows))

    def _head(self, now: float) -> Table:
        progress = self._progress
        left = progress.seconds_left(now)
        words = [f"{progress.done} of {progress.total} steps", clock(now - progress.started)]
        words += [f"about {clock(left)} left"] if left is not None else []
        words += [f"{progress.failed} failed"] if progress.failed else []
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=max(1, progress.total), completed=progress.done, width=20),
            Text(", ".join(words), no_wrap=True, overflow="ellipsis"),
        )
        return head

    def _row(self, step: Step, now: float) -> str:
        return "  ".join(filter(None, (step.rule, step.cell, clock(now - step.started), step.doing())))
