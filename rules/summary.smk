"""A finished run in words, and its main results as tables for a paper.

reads   results/tables/{concept_depth,depth_differences,claims}.csv, results/tables/configuration.yaml,
        results/audit.html, results/provenance/
writes  results/README.md, results/tables/latex/main.tex
"""


rule summarise_run:
    """Say in words what the run found, and write its main results as LaTeX tables."""
    input:
        depths="results/tables/concept_depth.csv",
        differences="results/tables/depth_differences.csv",
        claims="results/tables/claims.csv",
        configuration="results/tables/configuration.yaml",
        audit="results/audit.html",
        records=[
            "results/provenance/audit_results.json",
            "results/provenance/estimate_depth.json",
            "results/provenance/compare_depths.json",
            "results/provenance/check_claims.json",
            "results/provenance/record_configuration.json",
        ],
    output:
        readme="results/README.md",
        latex="results/tables/latex/main.tex",
        record="results/provenance/summarise_run.json",
    log:
        "results/logs/summarise_run.log",
    localrule: True
    conda:
        "../envs/summary.yaml"
    params:
        code=code_digest("summarise_run.py"),
        software=pins("summary"),
    script:
        "../workflow_scripts/summarise_run.py"
