"""Scores -> the depths of each concept.

reads   results/tables/layer_scores.csv
writes  results/tables/concept_depth.csv
"""


localrules:
    estimate_depth,


rule estimate_depth:
    """Find jump point, converging points and peak of every cell."""
    input:
        scores="results/tables/layer_scores.csv",
        record="results/provenance/collect_scores.json",
    output:
        depths=report(
            "results/tables/concept_depth.csv",
            caption="../report/concept_depth.rst",
            category="Tables",
            labels={"table": "Depth of every concept"},
        ),
        record="results/provenance/estimate_depth.json",
    log:
        "results/logs/estimate_depth.log",
    conda:
        "../envs/depth.yaml"
    params:
        code=code_digest("estimate_depth.py"),
        software=pins("depth"),
        depth=settings.in_order(config["depth"]),
    script:
        "../workflow_scripts/estimate_depth.py"
