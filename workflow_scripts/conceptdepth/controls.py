"""What vectors and cells are called that no training has touched: a curve is held against them."""

EMBEDDING = "embedding"
"""Stands in the place of a site for the input of the first block, which is read beside the sites."""

RANDOM = "random"
"""Stands in the place of a weight format for a model of the same architecture that was never trained."""
