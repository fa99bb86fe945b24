"""Asking Snakemake what it would run."""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args, parse_config
from snakemake.exceptions import RuleException, WorkflowError
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, ExecutionSettings, OutputSettings, ResourceSettings

from conceptdepth.ground.errors import UsageError, UserError


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    jobs: list[Any]
    """Snakemake's jobs that would run, in running order."""
    dag: Any
    """Snakemake's graph, which knows why each would."""
    config: Mapping[str, Any]
    """The configuration after all overlays."""


@contextlib.contextmanager
def planned(arguments: Sequence[str]) -> Iterator[Plan]:
    """Plan a run as ``snakemake --dry-run`` does with these arguments, profiles included.

    Raises `UserError` with Snakemake's own words if it refuses, `UsageError` if it does not know the arguments.
    """
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        try:
            plan = _plan(api, arguments)
        except (WorkflowError, RuleException) as error:
            raise UserError(str(error)) from None
        except FileNotFoundError as error:
            raise UserError(f"there is no file {error.filename}.") from None
        yield plan


def _plan(api: SnakemakeApi, arguments: Sequence[str]) -> Plan:
    said = io.StringIO()  # Which profiles it read, or what is wrong with the arguments: the usage, then a line.
    try:
        with contextlib.redirect_stderr(said):
            _, options = parse_args(list(arguments))
    except SystemExit as end:
        if not end.code:
            raise  # It was asked for its version.
        raise UsageError(said.getvalue().strip().rpartition("error: ")[2]) from None
    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=options.cores or 1),
        config_settings=ConfigSettings(config=parse_config(options.config), configfiles=options.configfile),
        snakefile=options.snakefile,
        workdir=options.directory,
    )
    workflow.dag(
        DAGSettings(
            targets=options.targets,
            forcetargets=options.force,
            forceall=options.forceall,
            forcerun=options.forcerun,
            until=options.until,
            omit_from=options.omit_from,
            force_incomplete=options.rerun_incomplete,
            rerun_triggers=options.rerun_triggers,
            max_checksum_file_size=options.max_checksum_file_size,
        )
    ).execute_workflow(executor="dryrun", execution_settings=ExecutionSettings(lock=False))
    dag = workflow._workflow.dag
    waiting = set(dag.needrun_jobs(exclude_finished=False))  # A dry run finishes them all.
    jobs = [job for level in dag.toposorted() for job in level if job in waiting and not job.is_norun]
    return Plan(jobs, dag, workflow._workflow.globals["config"])
