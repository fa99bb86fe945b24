"""From prompts to vectors: passes through a model, the activation file, the worker that keeps a model loaded.

In: prompts and a loaded model. Out: activation files (``store``), and what the model itself answers, as it is
and with its vectors changed (``effects``).
May import: ground, provenance, datasets, models. One of two rooms that may import torch.
"""
