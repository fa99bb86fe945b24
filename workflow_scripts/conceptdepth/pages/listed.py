"""What each figure and each table of a run shows, in the order in which they are listed."""

FIGURES = {
    "accuracy": "accuracy at each layer, a panel for each dataset",
    "perturbations": "the same for clean texts against other renderings",
    "quantizations": "the same for each weight format",
    "depths": "at which depth each concept is known",
    "drift": "how far formats and renderings move activations, and probes that are transferred",
    "positions": "depth and accuracy at each position and in each wording",
    "transfer": "probes of each dataset on the others, at three layers and over depth",
    "answers": "what a probe finds beside what the model itself says",
    "lens": "the same over depth: what probes find, and what each layer would answer if it were the last",
    "causal": "the same beside what changes along the concept do to answers, layer by layer",
    "ablation": "what each switch of the configuration does",
    "published_curves": "the paper's own curves of three 7B models",
    "published_sizes": "the paper's own depths and peaks by size of the model",
}
"""What each figure shows, by the stem of its files."""

TABLES = {
    "concept_depth": "depths, accuracies and tests of each curve",
    "layer_scores": "scores of every probe",
    "layer_intervals": "accuracy of each layer with its interval",
    "baseline_scores": "what words alone tell",
    "depth_differences": "what formats and renderings change",
    "partial_depth": "depths and accuracies without what could tell a concept in its place",
    "claims": "claims about depth, and what speaks for them",
    "activation_drift": "how far activations move",
    "depth_variance": "how much of depth is position, wording, site, split and statements",
    "data_audit": "what is wrong with the datasets",
    "coverage": "how right estimates and intervals are where the truth is known",
    "published_differences": "differences from the numbers that the paper's authors published",
    "transfer": "probes on other datasets, renderings, positions and layers, and how alike their directions are",
    "direct_answers": "what models themselves answer",
    "lens": "what each layer would answer if it were the last",
    "lens_depth": "at which depth these answers are right",
    "causal": "what changes along a concept do to answers, at each layer that was changed",
    "use_claims": "claims about what is used, and what speaks for them",
    "causal_depth": "from which layer to which they change answers more than random directions do",
    "ablation": "what each switch of the configuration does",
    "configuration": "all settings of this run",
    "main": "the main results as LaTeX tables (`booktabs`)",
}
"""What each table holds, by the stem of its file."""
