"""How the tests run: helpers of this folder, one core a process, copies in memory, and what goes to which worker."""

import logging
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

FIRST = [
    "tests/slurm/test_failures.py",
    "tests/slurm/test_submissions.py",
    "tests/workflow/test_run.py",
    "tests/workflow/test_rigorous_run.py",
]
"""Those that take longest, and the first that needs the finished project, so that others run while it is made."""

ONE_BY_ONE = ["tests/workflow/test_audit.py", "tests/workflow/test_commands.py", "tests/workflow/test_reruns.py"]
"""Tests that share nothing but the finished project: last, for whichever worker is free, and the many short ones of them at
the very end, so that no worker waits for a long one. Others go file by file."""


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def pytest_collection_modifyitems(items):
    """Order the tests: workers take them from the top."""
    order = {name: place for place, name in enumerate([*FIRST, "others", *ONE_BY_ONE])}
    items.sort(key=lambda item: order.get(file_of(item.nodeid), order["others"]))


def pytest_xdist_make_scheduler(config, log):
    """Give each worker a file at a time, whose dear fixtures are then made once, and tests of `ONE_BY_ONE` one by one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return nodeid if file_of(nodeid) in ONE_BY_ONE else file_of(nodeid)

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _log_level() -> None:
    """Let the root logger tell warnings: what a command set for its process would silence them for later tests."""
    logging.getLogger().setLevel(logging.WARNING)
