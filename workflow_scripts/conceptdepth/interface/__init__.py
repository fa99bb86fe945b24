"""What a notebook uses: results of a run, models that stay open, vectors of any texts, probes of these, and probes that
are taken elsewhere.

In: a model, texts, arrays, results of a run, folders of exported probes. Out: frames, vectors, decisions, folders of
probes. It may import every room but ``commands``; torch is imported only when a model runs. The package around it
has the names: ``from conceptdepth import extract``.
"""

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
"""Name -> module of this package that has it, by which `conceptdepth` finds it. No script imports this file, so that a
new name makes no result stale."""
