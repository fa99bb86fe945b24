"""From tables to figures: one look, curves that several figures draw, files with the id of their record.

In: tables, labels. Out: SVG and PNG.
May import: ground, provenance, datasets, probes, depth. Not models or activations.
"""
