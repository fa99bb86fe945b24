"""What vectors and cells are called that curves are held against."""

EMBEDDING = "embedding"
"""Stands in the place of a site for the input of the first block, which is read beside the sites."""

RANDOM = "random"
"""Stands in the place of a weight format for a model of the same architecture that was never trained."""

RERUN = "rerun"
"""Stands in the place of a weight format for the first one of the run, run once more with other tokens in a pass."""

CONTROL_FORMATS = (RANDOM, RERUN)
"""What stands in the place of a weight format and is none: nothing is claimed about it."""
