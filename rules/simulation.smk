"""Synthetic activations of known depth -> bias of the depth estimators and coverage of their intervals.

In every run whose `simulation.repetitions` is above 0.

reads   the configuration
writes  results/tables/coverage.csv
"""


rule simulate_coverage:
    """Hold the depth estimators against synthetic activations whose truth is known."""
    output:
        coverage=report(
            "results/tables/coverage.csv",
            caption="../report/coverage.rst",
            category="Tables",
            labels={"table": "Estimators on known truth"},
        ),
        record="results/provenance/simulate_coverage.json",
    log:
        "results/logs/simulate_coverage.log",
    conda:
        "../envs/simulation.yaml"
    threads: config["execution"]["probe_threads"]
    resources:
        mem_mb=700 + 300 * config["execution"]["probe_threads"],
    params:
        code=code_digest("simulate_coverage.py"),
        software=pins("simulation"),
        simulation=settings.in_order(config["simulation"]),
        depth=settings.in_order(config["depth"]),
        intervals=settings.in_order(config["intervals"]),
    script:
        "../workflow_scripts/simulate_coverage.py"
