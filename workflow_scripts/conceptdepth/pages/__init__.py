"""From tables to what people read first: the explorer, the main findings in sentences, tables for papers.

In: tables, predictions of held-out statements, labels. Out: a page that opens from a file, Markdown, LaTeX.
May import: ground, provenance, datasets, probes, depth, figures. Not models or activations.
"""
