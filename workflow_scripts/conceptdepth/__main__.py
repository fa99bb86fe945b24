"""``python -m conceptdepth``, and the command of that name: what is typed, if this Python has what it takes."""

import re
import sys
from importlib.metadata import PackageNotFoundError, requires


def main() -> None:
    """Do what was typed and leave with its exit code, or say which packages are missing."""
    try:
        from conceptdepth.commands.main import main as typed

        typed()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("conceptdepth"):
            raise
        sys.exit(f"Error: this Python has no {error.name}; {what_brings(error.name.partition('.')[0])}.")


def what_brings(module: str) -> str:
    """Say how to get a module that is not installed."""
    try:
        brought = requires("concept-depth") or []
    except PackageNotFoundError:  # In the folder of the workflow, without installation.
        brought = []
    for line in brought:
        named, extra = re.match(r"[\w.-]+", line), re.search(r"extra == ['\"](\w+)", line)
        if named and extra and f"{named[0]}-".replace("_", "-").startswith(f"{module}-".replace("_", "-")):
            return f"install concept-depth with its extra [{extra[1]}], which brings it"
    return "type `make run`, then `.venv/bin/conceptdepth`"


if __name__ == "__main__":
    main()
