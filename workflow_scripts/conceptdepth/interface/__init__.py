"""What a notebook uses: results of a run, models that stay open, vectors of any texts, probes of these, and probes that
are taken elsewhere.

In: a model, texts, arrays, results of a run, folders of exported probes. Out: frames, vectors, decisions, folders of
probes. It may import every room but ``commands``; torch is imported only when a model runs. The package itself has its
names: ``from conceptdepth import extract``.
"""
