"""What every room stands on: errors for a person, whole files, JSON Lines, names that several rooms use.

In: nothing. Out: helpers. It knows nothing of models, probes or depth and imports no other room.
"""
