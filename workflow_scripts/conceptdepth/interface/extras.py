"""Libraries that only some need: asked for when they are used, and missed in one sentence."""

import importlib
from typing import Any

from conceptdepth.ground.errors import UserError


def needed(module: str, extra: str) -> Any:
    """Return a module that an extra of the package brings. Raises `UserError` if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UserError(
            f"this takes {module}, which is not installed here; the extra [{extra}] of concept-depth brings it, or "
            f"`pip install {module}`."
        ) from None
