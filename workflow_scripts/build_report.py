"""Audit everything again and build the report, a single HTML file that carries the id of its record.

python workflow_scripts/build_report.py [--configfile mine.yaml] [--config ...] [--profile ...] [--cores N]
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from conceptdepth.configuration.settings import pins
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file
from conceptdepth.provenance.record import PREFIX, RECORDS, JobRecord, read_record

REPORT = "results/report.html"
AUDIT = "results/audit.html"
AUDIT_RECORD = str(RECORDS / "audit_results.json")


def main() -> int:
    """Build the report of the run that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, more in (("configfile", "+"), ("config", "+"), ("profile", None), ("cores", None)):
        parser.add_argument(f"--{option}", nargs=more, default=[], help="as for snakemake")
    options = []
    for option, value in vars(parser.parse_args()).items():
        if value:
            options += [f"--{option}", *([value] if isinstance(value, str) else value)]
    try:
        return build_report(options)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def build_report(options: Sequence[str]) -> int:
    """Write the report and its record; return Snakemake's exit code."""
    command = [sys.executable, "-m", "snakemake"]
    audit = [*command, AUDIT, "--forcerun", "audit_results", *options]
    if code := subprocess.run(audit, check=False).returncode:
        return code
    records = [AUDIT_RECORD, *(upstream["path"] for upstream in read_record(AUDIT_RECORD)["upstream"])]
    shown = [output["path"] for path in records for output in read_record(path)["outputs"] if is_shown(output["path"])]
    record = JobRecord(
        rule="build_report", wildcards={}, params={}, software=pins("provenance"), inputs=[*shown, *records]
    )
    html = Path(REPORT).with_name(".report.html")
    try:
        result = subprocess.run(
            [*command, "--report", str(html), *options], capture_output=True, text=True, check=False
        )
        if result.returncode:
            print(result.stderr, file=sys.stderr)
            return result.returncode
        with complete_file(REPORT) as part:
            part.write_text(with_record(html.read_text(encoding="utf-8"), record.id), encoding="utf-8")
    finally:
        html.unlink(missing_ok=True)
    record.write([REPORT], str(RECORDS / "build_report.json"))
    return 0


def is_shown(path: str) -> bool:
    """Tell whether the report has an output: figures once, tables, and the audit."""
    return Path(path).parts[1] in ("figures", "tables", "audit.html") and Path(path).suffix != ".png"


def with_record(html: str, record: str) -> str:
    """Put the id of a record into the head of a page, before anything else that might carry one."""
    return html.replace("<head>", f'<head><meta name="conceptdepth-record" content="{PREFIX}{record}">', 1)


if __name__ == "__main__":
    sys.exit(main())
