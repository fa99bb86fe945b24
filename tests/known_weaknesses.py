"""Ask whether packages that are pinned have known weaknesses, and say of which nobody could tell: ``make security``."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PINS = ("requirements.txt", "requirements-test.txt")

ACCEPTED: dict[str, str] = {}
"""Weakness -> why it does not matter here."""


def main() -> int:
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--no-deps",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--format",
        "json",
    ]
    files = [word for name in PINS for word in ("--requirement", str(ROOT / name))]
    ignored = [word for name in ACCEPTED for word in ("--ignore-vuln", name)]
    result = subprocess.run([*command, *files, *ignored], capture_output=True, text=True, check=False)
    try:
        packages = json.loads(result.stdout)["dependencies"]
    except ValueError:
        print(
            f"SKIPPED: no package was looked up: {(result.stderr.strip().splitlines() or ['pip-audit said nothing'])[-1]}"
        )
        return 0
    lines, code = verdict(packages)
    print("\n".join(lines))
    return code


def verdict(packages: Sequence[Mapping[str, Any]]) -> tuple[list[str], int]:
    """Return what to print of the report of pip-audit, and the exit code: 1 for any weakness.

    A package that the database does not know is no package without weaknesses, for which pip-audit takes it.
    """
    unknown = [package for package in packages if "skip_reason" in package]
    weak = [package for package in packages if package.get("vulns")]
    lines = [
        f"{package['name']} {package['version']}: {weakness['id']}, mended in {', '.join(weakness['fix_versions']) or 'no version'}"
        for package in weak
        for weakness in package["vulns"]
    ]
    known = len(packages) - len(unknown)
    lines.append(f"{len(weak)} of {known} packages that were looked up have known weaknesses")
    if unknown:
        lines.append(
            f"SKIPPED: {len(unknown)} of {len(packages)} packages were not looked up ({unknown[0]['skip_reason']})"
        )
    return lines, int(bool(weak))


if __name__ == "__main__":
    sys.exit(main())
