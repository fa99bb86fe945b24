"""What cells and curves are named by, and what vectors and cells are called that curves are held against."""

CELL = ("model", "quantization", "dataset", "perturbation")
"""Columns that name a cell: a model in a weight format on the texts of a dataset."""

PROBED = ("site", "probe")
"""Columns that name a curve in its cell: what was probed, and with what."""

CURVE = (*CELL, *PROBED)
"""Columns that name a curve: the probes of all layers that were trained for the concept."""

SCORED = (*CURVE, "target")
"""Columns that name a curve of scores, of which the others are of controls."""

EMBEDDING = "embedding"
"""Stands in the place of a site for the input of the first block, which is read beside the sites."""

RANDOM = "random"
"""Stands in the place of a weight format for a model of the same architecture that was never trained."""

RERUN = "rerun"
"""Stands in the place of a weight format for the first one of the run, run once more with other tokens in a pass."""

CONTROL_FORMATS = (RANDOM, RERUN)
"""What stands in the place of a weight format and is none: nothing is claimed about it."""
