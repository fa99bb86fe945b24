"""What a run was: the configuration after all overlays, and an audit of everything that was made.

reads   the configuration, results/provenance/, results/figures/, results/tables/, results/explorer.html
writes  results/tables/configuration.yaml, results/audit.html
"""


rule record_configuration:
    """Write down the configuration that the tables and figures belong to."""
    output:
        configuration=report(
            "results/tables/configuration.yaml",
            caption="../report/configuration.rst",
            category="This run",
            labels={"this run": "All settings"},
        ),
        record="results/provenance/record_configuration.json",
    log:
        "results/logs/record_configuration.log",
    localrule: True
    conda:
        "../envs/provenance.yaml"
    params:
        code=code_digest("record_configuration.py"),
        software=pins("provenance"),
        configuration=settings.selected_configuration(config),
    script:
        "../workflow_scripts/record_configuration.py"


rule audit_results:
    """Check every hash from the figures back to the sources, and say in words where each figure comes from."""
    input:
        results=[
            "results/explorer.html",
            figures("results/figures/{name}.svg"),
            figures("results/figures/{name}.png"),
            if_audited("results/tables/data_audit.csv"),
            "results/tables/layer_scores.csv",
            "results/tables/baseline_scores.csv",
            "results/tables/concept_depth.csv",
            "results/tables/layer_intervals.csv",
            "results/tables/depth_differences.csv",
            if_partial("results/tables/partial_depth.csv"),
            "results/tables/claims.csv",
            if_compared("results/tables/activation_drift.csv"),
            if_varied("results/tables/depth_variance.csv"),
            if_simulated("results/tables/coverage.csv"),
            if_transferred("results/tables/transfer.csv"),
            "results/tables/configuration.yaml",
            if_published("results/tables/published_differences.csv"),
        ],
        records=[
            "results/provenance/build_explorer.json",
            figures("results/provenance/{rule}.json"),
            if_published("results/provenance/compare_published.json"),
            "results/provenance/compare_depths.json",
            if_partial("results/provenance/estimate_partial_depth.json"),
            "results/provenance/check_claims.json",
            if_compared("results/provenance/collect_drift.json"),
            if_varied("results/provenance/measure_variance.json"),
            if_compared("results/provenance/measure_drift/{model}/{dataset}.json"),
            if_simulated("results/provenance/simulate_coverage.json"),
            if_transferred("results/provenance/collect_transfer.json"),
            if_transferred(*chosen_cells("results/provenance/measure_transfer/{model}/{quantization}.json")),
            "results/provenance/estimate_depth.json",
            "results/provenance/collect_scores.json",
            cells("results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json"),
            if_baselines("results/provenance/train_baselines/{dataset}.{perturbation}.json"),
            cells("results/provenance/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.json"),
            cells("results/provenance/index_activations/{model}/{quantization}.json"),
            cells("results/provenance/fetch_model/{model}.json"),
            cells("results/provenance/render_prompts/{dataset}.{perturbation}.json"),
            if_audited("results/provenance/collect_data_audit.json"),
            if_audited("results/provenance/audit_data/{dataset}.json"),
            cells("results/provenance/prepare_dataset/{dataset}.json"),
            sources("results/provenance/fetch_source/{dataset}/{file}.json"),
            "results/provenance/record_configuration.json",
        ],
    output:
        audit=report(
            "results/audit.html",
            caption="../report/audit.rst",
            category="This run",
            labels={"this run": "Provenance: where every figure comes from"},
        ),
        record="results/provenance/audit_results.json",
    log:
        "results/logs/audit_results.log",
    conda:
        "../envs/provenance.yaml"
    params:
        code=code_digest("audit_results.py"),
        software=pins("provenance"),
    script:
        "../workflow_scripts/audit_results.py"
