"""Names of the controls: the vectors and cells that curves are compared with."""

EMBEDDING = "embedding"
"""Stands in the place of a site for the input of the first block, which is read beside the sites."""

RANDOM = "random"
"""Stands in the place of a weight format for a model of the same architecture that was never trained."""

RERUN = "rerun"
"""Stands in the place of a weight format for the first one of the run, run again with other tokens in a pass."""

CONTROL_FORMATS = (RANDOM, RERUN)
"""Names that stand in the place of a weight format without being one: no claim is made about them."""
