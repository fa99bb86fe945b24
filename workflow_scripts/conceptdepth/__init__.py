"""Library of the Concept Depth workflow: what two scripts share, or a unit test wants to reach.

A room for each stage, and arrows that run one way; CONTRIBUTING.md has the map, ``make lint`` holds it::

    datasets -> models -> activations -> probes -> depth -> figures

all on ``ground`` and ``provenance``. ``configuration`` says what is to run, ``commands`` is what a person types.
Importing a room imports nothing heavy; torch is imported only by the modules that run a model.
"""
