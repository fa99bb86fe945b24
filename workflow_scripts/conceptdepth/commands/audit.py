"""Audit outputs: where a file comes from, and whether everything on the way is still as it was recorded."""

import json
import time
from dataclasses import asdict
from pathlib import Path

from rich.table import Column
from rich.text import Text

from conceptdepth.commands.screen import plain_table, screen
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.text import counted
from conceptdepth.models.weights import weight_files
from conceptdepth.provenance.audit import Auditor
from conceptdepth.provenance.chain import counts, machine_and_code, stages
from conceptdepth.provenance.findings import EXIT_CODES, INCOMPLETE, Audit

MOST_SHOWN = 20
"""Findings that are printed; --json has all."""


class NotAudited(UserError):
    """There is nothing to audit, which is no change."""

    exit_code = EXIT_CODES[INCOMPLETE]


def run(file: str | None, *, directory: Path, as_json: bool) -> int:
    """Audit a file, or all outputs if there is none, and return the exit code of the verdict."""
    started = time.perf_counter()
    try:
        auditor = Auditor(directory, weight_files)
        audit = auditor.audit_all() if file is None else auditor.audit_file(file)
    except UserError as error:
        raise NotAudited(str(error)) from None
    if as_json:
        print(json.dumps(as_mapping(audit), indent=1, ensure_ascii=False))
    else:
        show(audit, time.perf_counter() - started)
    return EXIT_CODES[audit.verdict]


def show(audit: Audit, seconds: float) -> None:
    """Print the chain, what is wrong, and the verdict."""
    console = screen()
    if audit.records:
        table = plain_table("", "", Column(overflow="fold"), header=False)
        for stage in stages(audit):
            table.add_row(stage.rule, counted(stage.jobs, "job"), Text("\n".join(stage.facts)))
        for name, fact in machine_and_code(audit).items():
            table.add_row(name, "", Text(fact), style="dim")
        console.print(table)
        console.print()
    findings = list(audit.findings)
    for finding in findings[:MOST_SHOWN]:
        console.print(f"{finding.verdict}: {finding.path} {finding.text}", markup=False)
    if len(findings) > MOST_SHOWN:
        console.print(f"... and {len(findings) - MOST_SHOWN} more; --json has all.")
    if audit.earlier:
        console.print(f"{counted(audit.earlier, 'record')} of earlier runs: files checked, chains not.")
    colour = {0: "green", 1: "red", 2: "yellow"}[EXIT_CODES[audit.verdict]]
    console.print(f"[bold {colour}]{audit.verdict}[/]: {counts(audit)} in {seconds:.1f} s")


def as_mapping(audit: Audit) -> dict[str, object]:
    """Return an audit for JSON."""
    return {
        "verdict": audit.verdict,
        "findings": [asdict(finding) for finding in audit.findings],
        "chain": [asdict(stage) for stage in stages(audit)],
        "behind": machine_and_code(audit) if audit.records else {},
        "records": sorted(audit.records),
        "records_of_earlier_runs": audit.earlier,
        "files": sorted(audit.files),
        "code": sorted(audit.code),
    }
