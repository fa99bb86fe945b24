"""Library of the Concept Depth workflow: what two scripts share, or a unit test wants to reach.

A room for each stage, and arrows that run one way; CONTRIBUTING.md has the map, ``make lint`` holds it::

    datasets -> models -> activations -> probes -> depth -> figures

all on ``ground`` and ``provenance``. ``configuration`` says what is to run, ``interface`` is what a notebook uses,
``commands`` is what a person types. Importing a room imports nothing heavy; torch is imported only by the modules that
run a model.

``from conceptdepth import Results`` takes a name of `OFFERED`: docs/python.md has them by task.
"""

import importlib
from typing import Any

OFFERED = {
    "Results": "conceptdepth.interface.results",
    "Vectors": "conceptdepth.interface.vectors",
    "probe": "conceptdepth.interface.probing",
}
"""Name that a notebook imports -> its module, which is imported when it is asked for. As text, so that no digest of a
script's code follows it."""

__all__ = list(OFFERED)  # noqa: PLE0604 - one table


def __getattr__(name: str) -> Any:
    if name not in OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *OFFERED])
