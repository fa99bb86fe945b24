"""Audit outputs: where a file comes from, and whether everything on the way is still as it was recorded.

    python workflow_scripts/audit.py results/figures/accuracy.png
    python workflow_scripts/audit.py copied/elsewhere.svg
    python workflow_scripts/audit.py --all

Exit code 0: intact. 1: changed since. 2: incomplete.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict

from conceptdepth.ground.errors import UserError
from conceptdepth.models.weights import weight_files
from conceptdepth.provenance.audit import Auditor
from conceptdepth.provenance.chain import counted, counts, machine_and_code, stages
from conceptdepth.provenance.findings import EXIT_CODES, INCOMPLETE, Audit
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

MOST_SHOWN = 20
"""Findings that are printed; --json has all."""


def main() -> int:
    """Audit what the command line names, and return the exit code."""
    arguments = parse_arguments()
    started = time.perf_counter()
    try:
        auditor = Auditor(arguments.directory, weight_files)
        audit = auditor.audit_all() if arguments.all else auditor.audit_file(arguments.file)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_CODES[INCOMPLETE]
    if arguments.json:
        print(json.dumps(as_mapping(audit), indent=1, ensure_ascii=False))
    else:
        show(audit, time.perf_counter() - started)
    return EXIT_CODES[audit.verdict]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="audit.py"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", help="an output, or a copy of one")
    what.add_argument("--all", action="store_true", help="all outputs in the results folder")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--directory", default=".", help="the folder in which snakemake ran (default: this one)")
    return parser.parse_args()


def show(audit: Audit, seconds: float) -> None:
    """Print the chain, what is wrong, and the verdict."""
    # In a file or a pipe a line is as long as what it says.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 10_000)
    if audit.records:
        table = Table(
            "", "", Column(overflow="fold"), box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0)
        )
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


if __name__ == "__main__":
    sys.exit(main())
