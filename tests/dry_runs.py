"""Dry runs without the two seconds that importing Snakemake takes: each in a process forked from one that has imported it.

What runs is what `python -m snakemake` runs, its ``main``, in the folder and with the variables that it is given; of the
project, nothing is imported before the fork. That both say the same is tested in tests/workflow/test_reruns.py.
"""

import atexit
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

IMPORTED_BEFORE = (
    "snakemake.cli", "snakemake.report.html_reporter", "smart_open", "jsonschema", "pandas", "yaml",
)  # fmt: skip
"""What is imported once: Snakemake with what it imports on its way, and libraries that the Snakefile imports."""


def dry_run(folder: Path, arguments: tuple[str, ...], variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `snakemake --dry-run` in a folder, with variables on top of those of this process."""
    with tempfile.TemporaryDirectory() as said:
        files = [str(Path(said, name)) for name in ("stdout", "stderr")]
        request = {
            "folder": str(folder),
            "arguments": ["--dry-run", *arguments],
            "variables": os.environ | variables,
            "files": files,
        }
        server = _server()
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(request["arguments"], code, *(Path(file).read_text() for file in files))


@cache
def _server() -> subprocess.Popen[str]:
    """Start the process that forks; it ends with this one, or when its standard input does."""
    server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.stdin.close)
    return server


def _serve() -> None:
    """Answer each line on standard input with an exit code. Returns in a forked process, which has to run Snakemake."""
    for name in IMPORTED_BEFORE:
        importlib.import_module(name)
    assert not [name for name in sys.modules if name.startswith("conceptdepth")]
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


def _become(request) -> None:
    """Make this process one that was started in the request's folder."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["variables"])
    for number, file in enumerate((os.devnull, *request["files"])):
        opened = os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = [sys.modules["snakemake"].__path__[0] + "/__main__.py", *request["arguments"]]
    sys.path[0] = request["folder"]


if __name__ == "__main__":
    _serve()
    sys.modules["snakemake.cli"].main()
