"""From a registry entry to a model that runs: fetching weights, loading them, knowing where its blocks are.

In: sources of models, weight formats. Out: a tokenizer and a loaded model, token ids, modules of sites.
May import: ground, provenance, datasets (to fetch sources). One of two rooms that may import torch.
"""
