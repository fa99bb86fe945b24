"""Tables, predictions of held-out statements -> one page to look at all of them, from a file and without a network.

reads   results/tables/*.csv, results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5,
        results/datasets/{dataset}.jsonl, resources/explorer/,
        resources/published/site_curves_7B.csv where the run has a cell with published numbers
writes  results/explorer.html
"""


rule build_explorer:
    """Put curves, depths, tables and statements into one page that opens from a file, without a network."""
    input:
        tables=[
            "results/tables/layer_scores.csv",
            "results/tables/layer_intervals.csv",
            "results/tables/baseline_scores.csv",
            "results/tables/concept_depth.csv",
            "results/tables/depth_differences.csv",
            if_partial("results/tables/partial_depth.csv"),
            "results/tables/claims.csv",
            if_audited("results/tables/data_audit.csv"),
            if_compared("results/tables/activation_drift.csv"),
            if_varied("results/tables/depth_variance.csv"),
            if_simulated("results/tables/coverage.csv"),
            if_published("results/tables/published_differences.csv"),
        ],
        published=if_published(published_table("site_curves_7B")),
        probes=cells("results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5"),
        statements=cells("results/datasets/{dataset}.jsonl"),
        page=files_of_page("explorer"),
        records=[
            "results/provenance/collect_scores.json",
            "results/provenance/estimate_depth.json",
            "results/provenance/compare_depths.json",
            if_partial("results/provenance/estimate_partial_depth.json"),
            "results/provenance/check_claims.json",
            if_audited("results/provenance/collect_data_audit.json"),
            if_compared("results/provenance/collect_drift.json"),
            if_varied("results/provenance/measure_variance.json"),
            if_simulated("results/provenance/simulate_coverage.json"),
            if_published("results/provenance/compare_published.json"),
            cells("results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json"),
            cells("results/provenance/prepare_dataset/{dataset}.json"),
        ],
    output:
        page="results/explorer.html",
        record="results/provenance/build_explorer.json",
    log:
        "results/logs/build_explorer.log",
    localrule: True
    conda:
        "../envs/explorer.yaml"
    params:
        code=code_digest("build_explorer.py"),
        software=pins("explorer"),
        labels=settings.page_labels(config),
        intervals=settings.chosen_keys(config["intervals"], ["level"]),
        published=settings.published_cells(config),
    script:
        "../workflow_scripts/build_explorer.py"
