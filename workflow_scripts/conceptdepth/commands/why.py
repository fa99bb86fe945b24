"""Say why outputs are stale: for each that would be made, the reason in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conceptdepth.commands.screen import screen
from conceptdepth.configuration.changes import changes, first_of
from conceptdepth.configuration.plan import planned
from conceptdepth.ground.text import counted
from conceptdepth.provenance.record import read_record

MADE_AGAIN = "what they read will be made again"


def run(options: Sequence[str]) -> int:
    """Print the reasons, each followed by the outputs that it makes stale; ``options`` are arguments of snakemake."""
    by_reason: dict[str, list[str]] = {}
    with planned(options) as plan:
        for job in plan.jobs:
            outputs = (str(path) for path in job.output if path != job.output.get("record"))
            by_reason.setdefault(reason_of(job, plan.dag), []).extend(outputs)
    console = screen()
    for reason in sorted(by_reason, key=MADE_AGAIN.__eq__):
        console.print(reason, style="bold", markup=False)
        for path in sorted(by_reason[reason]):
            console.print(f"    {path}", markup=False)
    count = sum(map(len, by_reason.values()))
    console.print(f"{counted(count, 'output')} to make." if count else "Nothing is stale.")
    return 0


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
