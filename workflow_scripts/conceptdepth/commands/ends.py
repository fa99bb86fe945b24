"""How a command ends: its exit code, and mistakes of a person, or a disk that refuses, told in one sentence."""

import os
import sys
from typing import NoReturn

import typer

from conceptdepth.ground.disk import naming, refusal
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.secrets import public


def leave(app: typer.Typer) -> NoReturn:
    """Do what was typed and leave with its exit code."""
    try:
        with naming("standard output"):
            code = app(standalone_mode=False)
            sys.stdout.flush()
        sys.exit(code)
    except typer.Abort:  # Control-C.
        sys.exit(130)
    except UserError as error:
        message, code = str(error), error.exit_code
    except typer.TyperException as error:  # Words that it does not know.
        message, code = with_hint(error), error.exit_code
    except BrokenPipeError:  # As of `| head`.
        _forget_output()
        sys.exit(1)
    except OSError as error:
        if not (sentence := refusal(error)):
            raise
        _forget_output()
        message, code = sentence, 1
    print(f"Error: {public(message)}", file=sys.stderr)
    sys.exit(code)


def _forget_output() -> None:
    """Let what waits to be printed go nowhere: Python would try again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def with_hint(error: typer.TyperException) -> str:
    """Return what Typer complains of, and where to look, unless it says that itself."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if context is None or message.endswith("?"):
        return message
    return f"{message.removesuffix('.')}; `{context.command_path} --help` lists what there is."
