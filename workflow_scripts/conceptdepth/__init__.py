"""Library of the Concept Depth workflow: what two scripts share, or a unit test wants to reach.

A room for each stage, and arrows that run one way; CONTRIBUTING.md has the map, ``make lint`` holds it::

    datasets -> models -> activations -> probes -> depth -> figures

all on ``ground`` and ``provenance``. ``configuration`` says what is to run, ``commands`` is what a person types, and
``interface`` what a notebook uses, by the names in its `INTERFACE`. Importing a room imports nothing heavy; torch is
imported only by the modules that run a model.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """Return what a notebook uses, imported when it is first asked for.

    Not by an import statement, which would make it, and the table of names, a part of the code behind every script.
    """
    modules = import_module(f"{__name__}.interface").INTERFACE
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.interface.{modules[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *import_module(f"{__name__}.interface").INTERFACE])
