"""Activations -> one probe per layer -> scores.

reads   results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5
writes  results/probes/{model}/{quantization}/{dataset}.{perturbation}.csv (scores) and .h5 (coefficients,
        held-out predictions), results/tables/layer_scores.csv
"""


rule train_probes:
    """Train and test the probes of all layers of one cell."""
    input:
        activations="results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5",
    output:
        scores="results/probes/{model}/{quantization}/{dataset}.{perturbation}.csv",
        probes="results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5",
    log:
        "results/logs/train_probes/{model}/{quantization}/{dataset}.{perturbation}.log",
    benchmark:
        "results/benchmarks/train_probes/{model}/{quantization}/{dataset}.{perturbation}.tsv"
    conda:
        "../envs/probes.yaml"
    threads: config["execution"]["probe_threads"]
    resources:
        mem_mb=1000,
    params:
        code=code_digest("train_probes.py"),
        settings=settings.in_order(config["probes"]),
    script:
        "../workflow_scripts/train_probes.py"


rule collect_scores:
    """Put the scores of all cells into one long table."""
    input:
        scores=cells("results/probes/{model}/{quantization}/{dataset}.{perturbation}.csv"),
    output:
        report(
            "results/tables/layer_scores.csv",
            caption="../report/layer_scores.rst",
            category="Tables",
            labels={"table": "Scores of every probe"},
        ),
    log:
        "results/logs/collect_scores.log",
    conda:
        "../envs/probes.yaml"
    params:
        code=code_digest("collect_scores.py"),
    script:
        "../workflow_scripts/collect_scores.py"
