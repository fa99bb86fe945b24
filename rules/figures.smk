"""Tables -> figures, each as SVG and PNG.

reads   results/tables/layer_scores.csv, results/tables/concept_depth.csv, results/tables/activation_drift.csv,
        resources/published/site_curves_7B.csv where the run has a cell with published numbers
writes  results/figures/{accuracy,perturbations,quantizations,depths,drift,positions}.{svg,png}
"""


rule plot_accuracy:
    """Draw accuracy against relative depth, a panel for each dataset."""
    input:
        scores="results/tables/layer_scores.csv",
        published=if_published(published_table("site_curves_7B")),
        record="results/provenance/collect_scores.json",
    output:
        svg=reported("results/figures/accuracy.svg", "Figures", "Accuracy by depth"),
        png="results/figures/accuracy.png",
        record="results/provenance/plot_accuracy.json",
    log:
        "results/logs/plot_accuracy.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        code=code_digest("plot_accuracy.py"),
        software=pins("figures"),
        labels=settings.figure_labels(config),
        published=settings.published_cells(config),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_accuracy.py"


rule plot_comparison__perturbations:
    """Draw the accuracy of clean and of perturbed texts against each other."""
    input:
        scores="results/tables/layer_scores.csv",
        record="results/provenance/collect_scores.json",
    output:
        svg=reported("results/figures/perturbations.svg", "Figures", "Perturbed against clean"),
        png="results/figures/perturbations.png",
        record="results/provenance/plot_comparison__perturbations.json",
    log:
        "results/logs/plot_comparison__perturbations.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        code=code_digest("plot_comparison.py"),
        software=pins("figures"),
        compare="perturbation",
        labels=settings.figure_labels(config),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_comparison.py"


use rule plot_comparison__perturbations as plot_comparison__quantizations with:
    output:
        svg=reported("results/figures/quantizations.svg", "Figures", "Weight formats"),
        png="results/figures/quantizations.png",
        record="results/provenance/plot_comparison__quantizations.json",
    log:
        "results/logs/plot_comparison__quantizations.log",
    localrule: True
    params:
        compare="quantization",


rule plot_depths:
    """Draw depth and accuracy of every curve with intervals, and the paper's points beside them."""
    input:
        depths="results/tables/concept_depth.csv",
        record="results/provenance/estimate_depth.json",
    output:
        svg=reported("results/figures/depths.svg", "Figures", "Depths"),
        png="results/figures/depths.png",
        record="results/provenance/plot_depths.json",
    log:
        "results/logs/plot_depths.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        code=code_digest("plot_depths.py"),
        software=pins("figures"),
        labels=settings.figure_labels(config),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_depths.py"


rule plot_drift:
    """Draw what weight formats and perturbations do to activations, and to probes that are transferred."""
    input:
        drift="results/tables/activation_drift.csv",
        record="results/provenance/collect_drift.json",
    output:
        svg=reported("results/figures/drift.svg", "Figures", "Drift of activations"),
        png="results/figures/drift.png",
        record="results/provenance/plot_drift.json",
    log:
        "results/logs/plot_drift.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        code=code_digest("plot_drift.py"),
        software=pins("figures"),
        labels=settings.figure_labels(config),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_drift.py"


rule plot_positions:
    """Draw depth and accuracy at each position and in each wording beside each other."""
    input:
        depths="results/tables/concept_depth.csv",
        record="results/provenance/estimate_depth.json",
    output:
        svg=reported("results/figures/positions.svg", "Figures", "Positions and wordings"),
        png="results/figures/positions.png",
        record="results/provenance/plot_positions.json",
    log:
        "results/logs/plot_positions.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        code=code_digest("plot_positions.py"),
        software=pins("figures"),
        labels=settings.figure_labels(config),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_positions.py"
