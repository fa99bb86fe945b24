"""Activations of the same statements -> how far they move between weight formats and between perturbations.

reads   results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5,
        results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5
writes  results/drift/{model}/{dataset}.csv, results/tables/activation_drift.csv
"""


rule measure_drift:
    """Compare all cells of a model on one dataset with those of the run's first weight format and perturbation."""
    input:
        # By their records and not their time stamps, as in train_probes.
        activations=ancient(compared_cells("results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5")),
        probes=compared_cells("results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5"),
        records=[
            compared_cells(
                "results/provenance/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.json"
            ),
            compared_cells("results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json"),
        ],
    output:
        drift="results/drift/{model}/{dataset}.csv",
        record="results/provenance/measure_drift/{model}/{dataset}.json",
    log:
        "results/logs/measure_drift/{model}/{dataset}.log",
    conda:
        "../envs/drift.yaml"
    resources:
        mem_mb=2000,
    params:
        code=code_digest("measure_drift.py"),
        software=pins("drift"),
        order=settings.compared(config),
        drift=settings.chosen_keys(config["drift"], ["outlier"]),
        intervals=settings.chosen_keys(config["intervals"], ["level", "draws", "seed"]),
    script:
        "../workflow_scripts/measure_drift.py"


rule collect_drift:
    """Put the drift of all models and datasets into one table."""
    input:
        drift=cells("results/drift/{model}/{dataset}.csv"),
        records=cells("results/provenance/measure_drift/{model}/{dataset}.json"),
    output:
        drift=report(
            "results/tables/activation_drift.csv",
            caption="../report/activation_drift.rst",
            category="Tables",
            labels={"table": "Drift of activations"},
        ),
        record="results/provenance/collect_drift.json",
    log:
        "results/logs/collect_drift.log",
    localrule: True
    conda:
        "../envs/drift.yaml"
    params:
        code=code_digest("collect_drift.py"),
        software=pins("drift"),
    script:
        "../workflow_scripts/collect_drift.py"
