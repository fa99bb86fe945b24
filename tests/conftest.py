"""How the tests run: helpers of this folder, one core a process, copies in memory, and what goes to which worker."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# Tests run side by side, on every core. Libraries that each take all cores then wait for each other: ten times as long.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 6 * 2**30:
    # Projects are copied hundreds of times; a thousand small files are made and deleted in no time where there is no disk.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

FIRST = ["slurm/test_slurm.py", "workflow/test_run.py"]
"""Those that wait longest, and the first that needs the finished project, so that others run while it is made."""

ONE_BY_ONE = ["workflow/test_reruns.py", "workflow/test_audit.py", "workflow/test_commands.py"]
"""Tests that share nothing but the finished project: last, for whichever worker is free. Others go file by file."""


def pytest_collection_modifyitems(items):
    """Order the tests and name the groups that `--dist loadgroup` keeps on one worker."""
    order = {}
    for item in items:
        name = item.path.relative_to(Path(__file__).parent).as_posix()
        order[item] = FIRST.index(name) - len(FIRST) if name in FIRST else name in ONE_BY_ONE
        if name not in ONE_BY_ONE and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=order.get)
