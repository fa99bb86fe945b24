"""Predictions of probes -> the depths of each concept, with intervals.

reads   results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5
writes  results/tables/concept_depth.csv, results/tables/layer_intervals.csv, results/depth/draws.h5
"""


localrules:
    estimate_depth,


rule estimate_depth:
    """Find the depths of every cell, each with an interval, and test whether any layer is above chance."""
    input:
        probes=cells("results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5"),
        records=cells("results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json"),
    output:
        depths=report(
            "results/tables/concept_depth.csv",
            caption="../report/concept_depth.rst",
            category="Tables",
            labels={"table": "Depth of every concept"},
        ),
        layers=report(
            "results/tables/layer_intervals.csv",
            caption="../report/layer_intervals.rst",
            category="Tables",
            labels={"table": "Interval of every accuracy"},
        ),
        draws="results/depth/draws.h5",
        record="results/provenance/estimate_depth.json",
    log:
        "results/logs/estimate_depth.log",
    conda:
        "../envs/depth.yaml"
    params:
        code=code_digest("estimate_depth.py"),
        software=pins("depth"),
        depth=settings.in_order(config["depth"]),
        intervals=settings.in_order(config["intervals"]),
    script:
        "../workflow_scripts/estimate_depth.py"
