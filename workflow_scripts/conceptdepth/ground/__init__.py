"""What every room stands on: errors for a person, whole files, HDF5 and JSON that may be damaged, what a disk refuses.

In: nothing. Out: what any room may use. It knows nothing of models, probes or depth and imports no other room.
"""
