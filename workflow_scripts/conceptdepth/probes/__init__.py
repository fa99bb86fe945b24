"""From vectors, or words, to scores: splits, targets, probes, baselines, held-out predictions.

In: arrays of features, labels and groups. Out: a score for each probe, and predictions of the statements held out.
May import: ground, provenance, datasets. Not models or activations: who studies vectors need not run a model.
"""
