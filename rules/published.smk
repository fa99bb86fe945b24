"""Numbers that the paper's authors published -> comparison with the run, and the paper's own figures.

reads   resources/published/*.csv, results/tables/layer_scores.csv, results/tables/concept_depth.csv
writes  results/tables/published_differences.csv, results/figures/{published_curves,published_sizes}.{svg,png}
"""


rule compare_published:
    """Compare computed depths and curves with those that the paper's authors published."""
    input:
        depths="results/tables/concept_depth.csv",
        scores="results/tables/layer_scores.csv",
        points=published_table("site_peak_converge"),
        curves=published_table("site_curves_7B"),
        records=[
            "results/provenance/estimate_depth.json",
            "results/provenance/collect_scores.json",
        ],
    output:
        differences=report(
            "results/tables/published_differences.csv",
            caption="../report/published_differences.rst",
            category="Tables",
            labels={"table": "Differences from published numbers"},
        ),
        record="results/provenance/compare_published.json",
    log:
        "results/logs/compare_published.log",
    localrule: True
    conda:
        "../envs/published.yaml"
    params:
        code=code_digest("compare_published.py"),
        software=pins("published"),
        published=settings.published_cells(config),
    script:
        "../workflow_scripts/compare_published.py"


rule plot_published_curves:
    """Draw the published accuracies of the three 7B models, a panel for each dataset."""
    input:
        curves=published_table("site_curves_7B"),
        points=published_table("site_peak_converge"),
        datasets=published_table("datasets"),
    output:
        svg=reported("results/figures/published_curves.svg", "Published numbers", "Curves of 7B models"),
        png="results/figures/published_curves.png",
        record="results/provenance/plot_published_curves.json",
    log:
        "results/logs/plot_published_curves.log",
    localrule: True
    conda:
        "../envs/published.yaml"
    params:
        code=code_digest("plot_published_curves.py"),
        software=pins("published"),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_published_curves.py"


rule plot_published_sizes:
    """Draw published converging points and peaks against the size of the model, a line for each family."""
    input:
        points=published_table("site_peak_converge"),
        models=published_table("models"),
        datasets=published_table("datasets"),
    output:
        svg=reported("results/figures/published_sizes.svg", "Published numbers", "Depth and peak by size"),
        png="results/figures/published_sizes.png",
        record="results/provenance/plot_published_sizes.json",
    log:
        "results/logs/plot_published_sizes.log",
    localrule: True
    conda:
        "../envs/published.yaml"
    params:
        code=code_digest("plot_published_sizes.py"),
        software=pins("published"),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_published_sizes.py"


rule published:
    """Draw the paper's own figures from the published numbers alone; nothing is computed."""
    input:
        "results/figures/published_curves.svg",
        "results/figures/published_curves.png",
        "results/figures/published_sizes.svg",
        "results/figures/published_sizes.png",
