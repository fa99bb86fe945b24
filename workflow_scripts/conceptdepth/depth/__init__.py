"""From predictions to depths: estimators, intervals and tests, claims, drift, simulated and published truth.

In: held-out predictions of every layer, tables. Out: depths with intervals, differences, verdicts on claims.
May import: ground, provenance, datasets, probes. Not models or activations.
"""
