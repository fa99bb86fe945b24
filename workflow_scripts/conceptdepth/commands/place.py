"""Whether a command may work in the folder in which it is typed, with the library that it is of."""

from pathlib import Path

from conceptdepth.ground.errors import UsageError
from conceptdepth.ground.files import SCRIPTS

WITHOUT_WORKFLOW = ("items", "jobs")
"""Commands that need nothing of the repository."""


def check_place(command: str) -> None:
    """Raise `UsageError` without the workflow that a command is about, or in the folder of another copy of it."""
    library, installed = Path("workflow_scripts"), SCRIPTS.is_dir()
    if (library / "conceptdepth").is_dir() and not (installed and library.samefile(SCRIPTS)):
        of = f"of the workflow in {SCRIPTS.parent}" if installed else "of a library that was installed by itself"
        raise UsageError(f"this is the command {of}; type `PYTHONPATH=workflow_scripts python -m conceptdepth` here.")
    if not installed and command not in WITHOUT_WORKFLOW:
        raise UsageError(
            f"`conceptdepth {command}` works in a clone of the repository, after `make run` there; this library was "
            "installed without the workflow."
        )
