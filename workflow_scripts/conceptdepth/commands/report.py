"""Audit everything again and build the report, a single HTML file that carries the id of its record."""

import argparse
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from conceptdepth.commands.summary import README, summary
from conceptdepth.configuration.settings import pins
from conceptdepth.ground.errors import UsageError, explained, one_of
from conceptdepth.ground.files import ROOT, complete_file
from conceptdepth.pages import finished
from conceptdepth.provenance.record import PREFIX, RECORDS, JobRecord, read_record

REPORT = "results/report.html"
AUDIT = "results/audit.html"
AUDIT_RECORD = str(finished.AUDIT)
README_RECORD = str(RECORDS / "summarise_run.json")

SCRIPT = "conceptdepth/commands/report.py"
"""This file, from the folder of the scripts."""

DATA = re.compile(r'<script id="[a-z-]+">\s*var \w+ = ')
"""What stands before data in a page of Snakemake's."""

STYLE = ROOT / "report/style.css"
"""How the report looks beyond Snakemake's own style."""

OPTIONS = {
    "--configfile": "+",
    "--config": "+",
    "--profile": None,
    "--cores": None,
    "--snakefile": None,
    "--directory": None,
}
"""Arguments of snakemake that say which run is reported, and how many values each takes."""

SHORT = {"--snakefile": ["-s"], "--directory": ["-d"], "--cores": ["-c"]}
"""What else Snakemake calls them."""


def run(options: Sequence[str]) -> int:
    """Write the report and its record, say what there is to look at, and return Snakemake's exit code.

    ``options`` are arguments of snakemake. Raises `UsageError` for others than `OPTIONS`: targets and the like would be
    asked of the report, too.
    """
    folder = checked(options).directory
    command = [sys.executable, "-m", "snakemake", *options]
    print("Checking every result against its record ...", flush=True)
    if code := run_quietly([*command, "--forcerun", "audit_results", "--", AUDIT, README]):
        return code
    print("Building the report ...", flush=True)
    html = Path(folder, REPORT).with_name(".report.html").absolute()
    try:
        if code := run_quietly([*command, "--report", str(html), "--report-stylesheet", str(STYLE)]):
            return code
        with contextlib.chdir(folder):
            write_with_record(html.read_text(encoding="utf-8"))
    finally:
        html.unlink(missing_ok=True)
    print("", *summary(Path(folder)), sep="\n")
    return 0


def run_quietly(command: Sequence[str]) -> int:
    """Run a command, show what it says if it fails, and return its exit code."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        print(result.stdout, result.stderr, sep="", file=sys.stderr)
    return result.returncode


def write_with_record(html: str) -> None:
    """Write the report of what the records in the working folder tell of, and its record."""
    records = [AUDIT_RECORD, *(upstream["path"] for upstream in read_record(AUDIT_RECORD)["upstream"])]
    shown = [output["path"] for path in records for output in read_record(path)["outputs"] if is_shown(output["path"])]
    record = JobRecord(
        rule="build_report",
        script=SCRIPT,
        wildcards={},
        params={},
        software=pins("provenance"),
        inputs=[*shown, README, *records, README_RECORD],
    )
    with complete_file(REPORT) as part:
        part.write_text(with_record(inert(html), record.id), encoding="utf-8")
    record.write([REPORT], str(RECORDS / "build_report.json"))


def checked(options: Sequence[str]) -> argparse.Namespace:
    """Read options. Raises `UsageError` for what is none of `OPTIONS`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name, values in OPTIONS.items():
        parser.add_argument(*SHORT.get(name, []), name, nargs=values)
    parser.set_defaults(directory=".")
    try:
        known, unknown = parser.parse_known_args(list(options))
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}.") from None
    if unknown:
        raise UsageError(f"{unknown[0]}: a report takes {one_of(OPTIONS)}.")
    return known


def is_shown(path: str) -> bool:
    """Tell whether the report has an output: figures once, tables, and the audit."""
    return Path(path).parts[1] in ("figures", "tables", "audit.html") and Path(path).suffix != ".png"


def with_record(html: str, record: str) -> str:
    """Put the id of a record into the head of a page, before anything else that might carry one."""
    return html.replace("<head>", f'<head><meta name="conceptdepth-record" content="{PREFIX}{record}">', 1)


def inert(html: str) -> str:
    """Escape every ``<`` in the data of a page of Snakemake's, so that no label in them becomes part of the page.

    Snakemake writes data as JSON into its scripts, each of which a browser ends at the first ``</script>``, wherever
    that stands. Here JSON is read to its own end. Raises `UserError` for a page that has no such data.
    """
    parts, done = [], 0
    with explained(f"{REPORT}: this version of Snakemake writes reports in another way than the pinned one"):
        while found := DATA.search(html, done):
            _, end = json.JSONDecoder().raw_decode(html, found.end())
            parts += [html[done : found.end()], html[found.end() : end].replace("<", r"\u003c")]
            done = end
        if not parts:
            raise ValueError("no script of it holds data")
    return "".join(parts) + html[done:]
