"""Probes of one dataset, rendering, position or layer, tested in another. Optional: `snakemake transfer`.

In every run whose `transfer.measured` is true.

reads   results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5,
        results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5, results/tables/concept_depth.csv
writes  results/transfer/{model}/{quantization}.csv, results/tables/transfer.csv,
        results/figures/transfer.{svg,png} of several datasets
"""


rule measure_transfer:
    """Test the linear probes of all cells of a model in one weight format in each other."""
    input:
        # By their records and not their time stamps, as in train_probes.
        activations=ancient(cells_of_model("results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5")),
        probes=cells_of_model("results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5"),
        records=[
            cells_of_model(
                "results/provenance/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.json"
            ),
            cells_of_model("results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json"),
        ],
    output:
        transfer="results/transfer/{model}/{quantization}.csv",
        record="results/provenance/measure_transfer/{model}/{quantization}.json",
    log:
        "results/logs/measure_transfer/{model}/{quantization}.log",
    benchmark:
        "results/benchmarks/measure_transfer/{model}/{quantization}.tsv"
    conda:
        "../envs/transfer.yaml"
    resources:
        # Two layers of vectors at a time.
        mem_mb=3000,
    params:
        code=code_digest("measure_transfer.py"),
        software=pins("transfer"),
        transfer=settings.chosen_keys(config["transfer"], ["layers"]),
        intervals=settings.chosen_keys(config["intervals"], ["level", "draws", "seed"]),
    script:
        "../workflow_scripts/measure_transfer.py"


rule collect_transfer:
    """Put the transfers of all models and weight formats into one table."""
    input:
        transfer=chosen_cells("results/transfer/{model}/{quantization}.csv"),
        records=chosen_cells("results/provenance/measure_transfer/{model}/{quantization}.json"),
    output:
        transfer=report(
            "results/tables/transfer.csv",
            caption="../report/transfer_table.rst",
            category="Tables",
            labels={"table": "Probes that are transferred"},
        ),
        record="results/provenance/collect_transfer.json",
    log:
        "results/logs/collect_transfer.log",
    localrule: True
    conda:
        "../envs/transfer.yaml"
    params:
        code=code_digest("collect_transfer.py"),
        software=pins("transfer"),
    script:
        "../workflow_scripts/collect_transfer.py"


rule plot_transfer:
    """Draw transfer between datasets: matrices at three layers, and every layer."""
    input:
        transfer="results/tables/transfer.csv",
        depths="results/tables/concept_depth.csv",
        records=[
            "results/provenance/collect_transfer.json",
            "results/provenance/estimate_depth.json",
        ],
    output:
        svg=reported("results/figures/transfer.svg", "Figures", "Probes on other datasets"),
        png="results/figures/transfer.png",
        record="results/provenance/plot_transfer.json",
    log:
        "results/logs/plot_transfer.log",
    localrule: True
    conda:
        "../envs/transfer.yaml"
    params:
        code=code_digest("plot_transfer.py"),
        software=pins("transfer"),
        labels=settings.figure_labels(config),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_transfer.py"


rule transfer:
    """Test the probes of every cell in the others, and draw what comes of it between datasets."""
    input:
        "results/tables/transfer.csv",
        if_several_datasets("results/figures/transfer.svg", "results/figures/transfer.png"),
