"""Columns that name cells and curves, and names of the controls that curves are compared with."""

CELL = ("model", "quantization", "dataset", "perturbation")
"""Columns that name a cell: a model in a weight format on the texts of a dataset."""

PROBED = ("site", "position", "probe")
"""Columns that name a curve in its cell: what was probed, at which token, and with what."""

CURVE = (*CELL, *PROBED)
"""Columns that name a curve: the probes of all layers that were trained for the concept."""

SCORED = (*CURVE, "target")
"""Columns that name a curve of scores, where the targets other than the concept are controls."""

LAST = "last"
"""The position that is read unless others are asked for: the last token of the prompt."""

CONCEPT = "concept"
"""The target that is the dataset's own labels; others are controls."""

PARTIAL_OUT = "partial_out"
"""The target that is the dataset's own labels again, told from features without nuisances."""

EMBEDDING = "embedding"
"""Stands in the place of a site for the input of the first block, which is read beside the sites."""

LAYER = "layer_"
"""Begins the names of columns that have a number of each statement at one layer, which follows."""

PROMPT = "prompt"
"""Stands in the place of a position for baselines of words, which read the whole prompt."""

RANDOM = "random"
"""Stands in the place of a weight format for a model of the same architecture that was never trained."""

RERUN = "rerun"
"""Stands in the place of a weight format for the first one of the run, run again with other tokens in a pass."""

CONTROL_FORMATS = (RANDOM, RERUN)
"""Names that stand in the place of a weight format without being one: no claim is made about them."""

CONFIDENCE = "confidence"
"""The nuisance, and column of answers, that is the model's largest probability of a next token."""

WORDS, WORDING = "words", "wording"
"""Nuisances that are read from prompts: number of words of the text, and what stands around it."""
