"""Library of the Concept Depth workflow: what two scripts share, or a unit test wants to reach.

A room for each stage, and arrows that run one way; CONTRIBUTING.md has the map, ``make lint`` holds it::

    datasets -> models -> activations -> probes -> depth -> figures

all on ``ground`` and ``provenance``. ``configuration`` says what is to run, ``commands`` is what a person types, and
``interface`` what a notebook uses, by the names in `INTERFACE`. Importing a room imports nothing heavy; torch is
imported only by the modules that run a model.
"""

from importlib import import_module
from typing import Any

INTERFACE = {
    "open_model": "opened",
    "OpenedModel": "opened",
    "extract": "extract",
    "Vectors": "vectors",
    "Results": "results",
    "probe": "probing",
    "export_probes": "export",
    "load_probe": "bank",
    "Probe": "bank",
}
"""Name -> module of ``conceptdepth.interface`` that has it. Imported when it is first asked for, and not by an import
statement, which would make it a part of the code behind every script."""


def __getattr__(name: str) -> Any:
    """Return what a notebook uses."""
    if name not in INTERFACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.interface.{INTERFACE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *INTERFACE])
