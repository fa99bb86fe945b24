"""What `make security` says of packages: a database that was not asked has said nothing."""

import json
import subprocess

import known_weaknesses
import pytest
from known_weaknesses import main, verdict

FINE = {"name": "a", "version": "1", "vulns": []}
WEAK = {
    "name": "b",
    "version": "2",
    "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}, {"id": "CVE-2", "fix_versions": []}],
}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


def test_a_weakness_fails():
    lines, code = verdict([FINE, WEAK])
    assert code == 1
    assert lines == [
        "b 2: CVE-1, mended in 3",
        "b 2: CVE-2, mended in no version",
        "1 of 2 packages that were looked up have known weaknesses",
    ]


@pytest.mark.parametrize("packages", [[UNKNOWN], [FINE, UNKNOWN, UNKNOWN]])
def test_what_was_not_looked_up_is_counted_as_that(packages):
    lines, code = verdict(packages)
    known = len([package for package in packages if package is FINE])
    assert code == 0
    assert lines[0] == f"0 of {known} packages that were looked up have known weaknesses"
    assert lines[1].startswith(f"SKIPPED: {len(packages) - known} of {len(packages)} packages were not looked up")


@pytest.mark.parametrize(
    ("output", "errors", "code", "said"),
    [
        (
            "",
            "Traceback\nConnectionError: no route",
            0,
            "SKIPPED: no package was looked up: ConnectionError: no route\n",
        ),
        ("", "", 0, "SKIPPED: no package was looked up: pip-audit said nothing\n"),
        (json.dumps({"dependencies": [WEAK]}), "", 1, "b 2: CVE-1, mended in 3\n"),
    ],
)
def test_without_an_answer_nothing_passes_in_silence(monkeypatch, capsys, output, errors, code, said):
    result = subprocess.CompletedProcess([], 1, output, errors)
    monkeypatch.setattr(known_weaknesses.subprocess, "run", lambda *_, **__: result)
    assert main() == code
    assert capsys.readouterr().out.startswith(said)
