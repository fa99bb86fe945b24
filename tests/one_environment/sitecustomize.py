"""Python imports this as it starts: a job's script then finds no package that its environment file does not bring.

So does what the script starts, such as the worker that keeps models loaded. Other processes find everything.
tests/environments.py says which modules are hidden.
"""

import json
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path


def stage_of_this_process(stages):
    """Return whose environment counts, None for a process that is no job's."""
    script = Path(sys.orig_argv[1] if len(sys.orig_argv) > 1 else "")
    if script.parent.parts[-2:] == (".snakemake", "scripts"):
        # Snakemake runs a copy whose name ends in that of the script.
        os.environ["CONCEPTDEPTH_TESTS_STAGE"] = stages[script.name.split(".", 1)[1]]
    return os.environ.get("CONCEPTDEPTH_TESTS_STAGE")


def hide(modules):
    """Let imports find no module of these names."""
    find_spec = PathFinder.find_spec

    def find_others(name, path=None, target=None):
        return None if name in modules else find_spec(name, path, target)

    PathFinder.find_spec = find_others


if "CONCEPTDEPTH_TESTS_HIDDEN" in os.environ:
    told = json.loads(os.environ["CONCEPTDEPTH_TESTS_HIDDEN"])
    stage = stage_of_this_process(told["stages"])
    if stage is not None:
        hide(set(told["hidden"][stage]))
