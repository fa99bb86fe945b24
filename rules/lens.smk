"""What each layer would answer -> at which depth the model's own answers come about. Part of `snakemake answers`.

reads   results/lens/{model}/{quantization}/{dataset}.{perturbation}.csv, results/tables/layer_scores.csv
writes  results/tables/lens.csv, results/tables/lens_depth.csv, results/figures/lens.{svg,png}
"""


rule collect_lens:
    """Find what each layer would answer if it were the last, and at which depth the answers are right."""
    input:
        lens=chosen_cells("results/lens/{model}/{quantization}/{dataset}.{perturbation}.csv"),
        records=chosen_cells("results/provenance/score_answers/{model}/{quantization}/{dataset}.{perturbation}.json"),
    output:
        layers=report(
            "results/tables/lens.csv",
            caption="../report/lens_table.rst",
            category="Tables",
            labels={"table": "What each layer would answer"},
        ),
        depths=report(
            "results/tables/lens_depth.csv",
            caption="../report/lens_depth.rst",
            category="Tables",
            labels={"table": "Depth of the model's own answers"},
        ),
        record="results/provenance/collect_lens.json",
    log:
        "results/logs/collect_lens.log",
    localrule: True
    conda:
        "../envs/lens.yaml"
    params:
        code=code_digest("collect_lens.py"),
        software=pins("lens"),
        depth=settings.in_order(config["depth"]),
        intervals=settings.in_order(config["intervals"]),
    script:
        "../workflow_scripts/collect_lens.py"


rule plot_lens:
    """Draw what probes find, what each layer would answer and what the model answers, a panel for each dataset."""
    input:
        lens="results/tables/lens.csv",
        scores="results/tables/layer_scores.csv",
        records=[
            "results/provenance/collect_lens.json",
            "results/provenance/collect_scores.json",
        ],
    output:
        svg=reported("results/figures/lens.svg", "Figures", "Probes and the answers of each layer"),
        png="results/figures/lens.png",
        record="results/provenance/plot_lens.json",
    log:
        "results/logs/plot_lens.log",
    localrule: True
    conda:
        "../envs/lens.yaml"
    params:
        code=code_digest("plot_lens.py"),
        software=pins("lens"),
        labels=settings.figure_labels(config),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_lens.py"
