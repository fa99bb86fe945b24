"""Facts about the software and the machine of a job, for its record."""

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from conceptdepth.ground.files import ROOT


def environment(packages: Iterable[str]) -> dict[str, Any]:
    """Return the versions of Python and of the named packages, the machine and its linear algebra."""
    return {
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in packages if name != "python"},
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "blas": linear_algebra(),
    }


def installed(package: str) -> str | None:
    """Return the installed version of a package, without a build's suffix, or None."""
    try:
        return version(package).split("+")[0]
    except PackageNotFoundError:
        return None


def cpu_model() -> str:
    """Return the name of the CPU model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def linear_algebra() -> list[str]:
    """Return the BLAS and OpenMP libraries that this process has loaded so far."""
    from threadpoolctl import threadpool_info

    found = []
    for library in threadpool_info():
        words = (library["internal_api"], library["version"], library.get("architecture"))
        found.append(" ".join(str(word) for word in words if word) + f", {library['num_threads']} threads")
    return sorted(set(found))


def begin_peak_memory() -> None:
    """Reset the peak where the system allows it, so that a worker's next cell is not charged with the last one's."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mb() -> int:
    """Return the peak memory of this process in MB, since it began or since `begin_peak_memory`."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux, where getrusage() counts what the parent had before it forked, too.
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) >> 10
    import resource  # Not on Windows.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)


def git_state() -> dict[str, Any] | None:
    """Return the commit of the repository and whether tracked files differ from it; None without git."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return None  # A copy inside another repository.
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    # Without the lock that `git status` takes to refresh the index: many jobs ask, and a user may commit.
    command = ["git", "--no-optional-locks", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
