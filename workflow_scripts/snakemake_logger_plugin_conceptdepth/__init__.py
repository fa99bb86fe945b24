"""How `make run` tells what it does: ``snakemake --logger conceptdepth``, with this folder's parent on Python's path.

On a terminal an area of a few lines, which is gone afterwards; in a file or a pipe a line for each finished step.
Errors are Snakemake's own words. Snakemake imports this package whenever it is on the path, so it imports nothing
heavy, and nothing of the library: the rules that run may be those of another copy.
"""

import logging
import os
import sys
from collections.abc import Mapping
from typing import Protocol

from snakemake.logging import ColorizingTextHandler
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_conceptdepth.lines import Lines
from snakemake_logger_plugin_conceptdepth.progress import Progress, Step

NOISE = (
    "Assuming unrestricted shared filesystem",
    "Building DAG of jobs",
    "Complete log",
    "Conda environments: ignored",
    "Config file ",
    "Elapsed time",
    "Execute ",
    "Exiting because a job execution failed",
    "Provided ",
    "Rules claiming more threads",
    "Select jobs to execute",
    "Singularity containers: ignored",
    "Using shell",
    "WorkflowError:\nAt least one job did not complete successfully",
    "host: ",
)
"""How messages begin that say nothing which the progress does not."""

TOLD = (None, LogEvent.SHELLCMD, LogEvent.DEBUG_DAG)
"""Events of messages that are printed whatever their level: plain words, and what options of Snakemake ask for."""

TARGET = "all"
"""The rule that only names what a run is for; it is no step."""


class View(Protocol):
    """Where progress is shown: `Lines`, or `Screen` on a terminal."""

    def finished(self, step: Step, seconds: float) -> None:
        """Tell that a step has succeeded."""

    def say(self, text: str) -> None:
        """Tell anything else, in Snakemake's words."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class LogHandler(LogHandlerBase):
    """Takes what Snakemake logs; it calls it from one thread."""

    def __post_init__(self) -> None:
        """Begin with Snakemake's own way to print, for what comes before a run and for dry runs."""
        stream = sys.stdout if self.common_settings.stdout else sys.stderr
        self._plain = ColorizingTextHandler(nocolor=self.common_settings.nocolor, stream=stream)
        self._progress = Progress()
        self._view: View | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Tell what a record of Snakemake says, if a person wants to know it."""
        try:
            self._tell(record)
        except BrokenPipeError:  # As of `make run | head`: the run goes on, and nobody listens.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except Exception:
            self.handleError(record)

    def _tell(self, record: logging.LogRecord) -> None:
        told = record.__dict__
        event = told.get("event")
        if self.common_settings.dryrun:
            self._print(record)
        elif event == LogEvent.RUN_INFO:
            self._begin(told["stats"], record.created)
        elif event == LogEvent.JOB_INFO and self._view and told["rule_name"] != TARGET:
            self._progress.start(Step.of(record))
        elif event == LogEvent.JOB_FINISHED and self._view:
            if ended := self._progress.finish(told["job_id"], record.created):
                self._view.finished(*ended)
        elif (record.levelno >= logging.WARNING or event in TOLD) and not self.format(record).startswith(NOISE):
            if event == LogEvent.JOB_ERROR:
                self._progress.fail(told["jobid"])
            self._print(record)

    def _begin(self, stats: Mapping[str, int], now: float) -> None:
        self._progress.begin({rule: count for rule, count in stats.items() if rule not in (TARGET, "total")}, now)
        if not sys.stdout.isatty() or os.environ.get("TERM") in ("dumb", "unknown"):
            self._view = Lines(self._progress)
        else:
            from snakemake_logger_plugin_conceptdepth.screen import Screen

            self._view = Screen(self._progress)

    def _print(self, record: logging.LogRecord) -> None:
        if self._view is None:
            self._plain.setFormatter(self.formatter)
            self._plain.emit(record)
        elif (text := self.format(record)) not in ("", "None"):  # The shell command of a script is None.
            self._view.say(text)

    def close(self) -> None:
        """Tell how far the run came. Snakemake calls this more than once."""
        if self._view:
            self._view.close()
            self._view = None
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """It takes the place of Snakemake's own way to print."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake keeps its log file."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's own: ``--quiet`` means here what it means there."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's own, which shows the logs of failed jobs."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """It draws none."""
        return False
