"""Memory does not grow with an activation file, neither where it is written nor where it is read."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import load
import pytest
from conceptdepth.activations.leaving import MOST_BYTES
from conceptdepth.ground.files import SCRIPTS

MB = 2**20

SLACK = 40 * MB

DISK = "/var/tmp"
"""Temporary folders of tests may lie in memory."""

SMALL = (1_000, 20, 1_024, 20, 8 * MB)
LARGE = (6_000, 40, 5_120, 64, MOST_BYTES)
"""Statements, layers, width, prompts of a pass, bytes on their way."""


@pytest.mark.parametrize("size", [SMALL, pytest.param(LARGE, marks=pytest.mark.long)], ids=["small", "large"])
def test_a_file_larger_than_memory_may_be_is_written_and_read(size, capsys):
    n_statements, n_layers, d_model, _, on_their_way = size
    layer = 4 * n_statements * d_model
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        if shutil.disk_usage(folder).free < 1.2 * n_layers * layer:
            pytest.skip(f"less than {1.2 * n_layers * layer / 1e9:.1f} GB are free in {folder}")
        told = run(Path(folder) / "cell.h5", size)
    with capsys.disabled():
        print("", told)
    assert told["bytes"] > (n_layers + 1) * layer
    assert told["mb_write"] * MB < on_their_way + SLACK
    assert told["mb_read"] * MB < 2 * layer + SLACK


def run(path: Path, size: tuple[int, ...]) -> dict[str, float]:
    command = [sys.executable, load.__file__, str(path), *map(str, size)]
    variables = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)
