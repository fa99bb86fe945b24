"""Progress in a file or a pipe: a line for each step that is finished."""

import sys

from snakemake_logger_plugin_conceptdepth.progress import Progress, Step, clock, span


class Lines:
    """Writes to standard output; what Snakemake says beside that goes to standard error, as it does without this."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        _print(f"{progress.total} steps to run")

    def finished(self, step: Step, seconds: float) -> None:
        """Write which step that was, how long it took, and how long the rest may take."""
        left = self._progress.seconds_left(step.started + seconds)
        words = [
            f"{self._progress.done} of {self._progress.total}",
            step.rule,
            step.cell,
            span(seconds) + step.speed(seconds),
            "" if left is None or self._progress.is_done() else f"(about {clock(left)} left)",
        ]
        _print("  ".join(filter(None, words)))

    def say(self, text: str) -> None:
        """Write what Snakemake says."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Write how far the run came."""
        _print(self._progress.verdict())


def _print(line: str) -> None:
    """Write a line in one piece: jobs write into the same pipe."""
    print(f"{line}\n", end="", flush=True)
