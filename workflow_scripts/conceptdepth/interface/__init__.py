"""What a notebook uses: results as tables and arrays, vectors of own texts, probes, without Snakemake.

In: a folder of results, a model, or arrays. Out: frames of pandas, arrays of NumPy, and what other libraries take of
these. May import: all but commands. `conceptdepth` itself has the names that are for others.
"""
