"""What a notebook uses: models that stay open, vectors of any texts, and probes that are taken elsewhere.

In: a model, texts, results of a run, folders of exported probes. Out: vectors, decisions, folders of probes. It may
import every room but ``commands``; torch is imported only when a model runs. The package itself has its names:
``from conceptdepth import extract``.
"""
