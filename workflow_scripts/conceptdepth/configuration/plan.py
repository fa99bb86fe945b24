"""Asking Snakemake what it would run."""

import argparse
import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snakemake.api import SnakemakeApi, WorkflowApi
from snakemake.cli import parse_args, parse_config
from snakemake.exceptions import RuleException, WorkflowError
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, ExecutionSettings, OutputSettings, ResourceSettings
from snakemake_interface_common.exceptions import ApiError

from conceptdepth.ground.errors import UsageError, UserError, one_of


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
    with _snakemake() as api:
        with _own_words():
            plan = _plan(*_opened(api, arguments))
        yield plan


@contextlib.contextmanager
def read_workflow(arguments: Sequence[str]) -> Iterator[tuple[Any, argparse.Namespace]]:
    """Read the Snakefile and what it includes, and with it the configuration, as Snakemake does with these arguments.

    Gives Snakemake's workflow, without any jobs, and its options. Raises `UserError` as `planned` does.
    """
    with _snakemake() as api:
        with _own_words():
            opened, options = _opened(api, arguments)
            workflow = opened._workflow
        yield workflow, options


def _snakemake() -> SnakemakeApi:
    return SnakemakeApi(OutputSettings(quiet={Quietness.ALL}))


@contextlib.contextmanager
def _own_words() -> Iterator[None]:
    """Turn what Snakemake refuses with into a `UserError`."""
    try:
        yield
    except (WorkflowError, RuleException) as error:
        raise UserError(str(error)) from None
    except FileNotFoundError as error:
        raise UserError(f"there is no file {error.filename}.") from None


def _opened(api: SnakemakeApi, arguments: Sequence[str]) -> tuple[WorkflowApi, argparse.Namespace]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # It says which profiles it read.
            _, options = parse_args(list(arguments))
        config = parse_config(options.config)
    except ValueError as error:
        hint = "keys of a section are given as --config 'run={quantizations: [fp32]}'"
        raise UserError(f"--config: {str(error).rstrip('.')}; {hint}.") from None
    except SystemExit as stop:
        if not stop.code:  # As after --help.
            raise
        raise UsageError(said.getvalue().strip().rpartition("error: ")[2]) from None
    try:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=options.cores or 1),
            config_settings=ConfigSettings(config=config, configfiles=options.configfile),
            snakefile=options.snakefile,
            workdir=options.directory,
        )
    except UnicodeDecodeError:
        raise UserError(f"{one_of(options.configfile)}: a file of a configuration must be UTF-8.") from None
    except ApiError:
        raise UsageError("there is no Snakefile here; type it in the folder of the workflow.") from None
    return workflow, options


def _plan(workflow: WorkflowApi, options: argparse.Namespace) -> Plan:
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
