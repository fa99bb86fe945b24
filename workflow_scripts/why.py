"""Say why outputs are stale: for each that would be made, the reason in words.

python workflow_scripts/why.py [any arguments of snakemake]
"""

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conceptdepth.chain import counted
from conceptdepth.changes import changes, first_of
from conceptdepth.provenance import read_record
from rich.console import Console
from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args, parse_config
from snakemake.exceptions import RuleException, WorkflowError
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, ExecutionSettings, OutputSettings, ResourceSettings

MADE_AGAIN = "what they read will be made again"


def main(arguments: list[str]) -> int:
    """Print the reasons, each followed by the outputs that it makes stale."""
    by_reason: dict[str, list[str]] = {}
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        try:
            for job, dag in planned_jobs(api, arguments):
                outputs = (str(path) for path in job.output if path != job.output.get("record"))
                by_reason.setdefault(reason_of(job, dag), []).extend(outputs)
        except (WorkflowError, RuleException) as error:
            print(f"Error: {error}", file=sys.stderr)
            return 1
        except FileNotFoundError as error:
            print(f"Error: there is no file {error.filename}.", file=sys.stderr)
            return 1
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for reason in sorted(by_reason, key=MADE_AGAIN.__eq__):
        console.print(reason, style="bold")
        for path in sorted(by_reason[reason]):
            console.print(f"    {path}")
    count = sum(map(len, by_reason.values()))
    console.print(f"{counted(count, 'output')} to make." if count else "Nothing is stale.")
    return 0


def planned_jobs(api: SnakemakeApi, arguments: list[str]) -> Iterator[tuple[Any, Any]]:
    """Plan a run as ``snakemake --dry-run`` does, profiles included, and give its jobs in running order."""
    with contextlib.redirect_stderr(io.StringIO()):  # It says which profiles it read.
        _, options = parse_args(arguments)
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
    planned = set(dag.needrun_jobs(exclude_finished=False))  # A dry run finishes them all.
    for level in dag.toposorted():
        yield from ((job, dag) for job in level if job in planned and not job.is_norun)


def reason_of(job: Any, dag: Any) -> str:
    """Return the reason why a job would run."""
    reason, record = dag.reason(job), job.output.get("record")
    missing = sorted(map(str, reason.missing_output))
    if reason.forced:
        return "asked for on the command line"
    if record is None or not Path(record).exists():
        return "not made yet"
    if missing:
        return f"missing: {first_of(missing)}"
    if reason.incomplete_output:
        return "the last run broke off while making them"
    stage = Path(job.rule.snakefile).stem
    own = changes(read_record(record), params=dict(job.params.items()), inputs=list(job.input), stage=stage)
    edited = [f"the bytes of {path} changed" for path in sorted(reason.updated_input - reason.updated_input_run)]
    return "; ".join([*own, *edited]) or MADE_AGAIN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
