"""Scores -> the depths of each concept.

reads   results/tables/layer_scores.csv
writes  results/tables/concept_depth.csv
"""


rule estimate_depth:
    """Find jump point, converging points and peak of every cell."""
    input:
        scores="results/tables/layer_scores.csv",
    output:
        report(
            "results/tables/concept_depth.csv",
            caption="../report/concept_depth.rst",
            category="Tables",
            labels={"table": "Depth of every concept"},
        ),
    log:
        "results/logs/estimate_depth.log",
    conda:
        "../envs/depth.yaml"
    params:
        code=code_digest("estimate_depth.py"),
        settings=settings.in_order(config["depth"]),
    script:
        "../workflow_scripts/estimate_depth.py"
