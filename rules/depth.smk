"""Predictions of probes -> the depths of each concept, with intervals.

reads   results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5,
        results/baselines/{dataset}.{perturbation}.h5; results/tables/layer_scores.csv for the table of variance
writes  results/tables/concept_depth.csv, results/tables/layer_intervals.csv, results/depth/draws.h5,
        results/tables/depth_differences.csv, results/tables/claims.csv, results/tables/depth_variance.csv,
        results/tables/partial_depth.csv where nuisances are taken out of features
"""


rule estimate_depth:
    """Find the depths of every cell, with intervals, and test which layers are above chance and above the baselines."""
    input:
        probes=cells("results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5"),
        baselines=if_baselines("results/baselines/{dataset}.{perturbation}.h5"),
        records=[
            cells("results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json"),
            if_baselines("results/provenance/train_baselines/{dataset}.{perturbation}.json"),
        ],
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
    localrule: True
    conda:
        "../envs/depth.yaml"
    params:
        code=code_digest("estimate_depth.py"),
        software=pins("depth"),
        depth=settings.in_order(config["depth"]),
        intervals=settings.in_order(config["intervals"]),
    script:
        "../workflow_scripts/estimate_depth.py"


rule estimate_partial_depth:
    """Find the depths once more from features without nuisances, beside those of features as they are."""
    input:
        probes=cells("results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5"),
        baselines=if_baselines("results/baselines/{dataset}.{perturbation}.h5"),
        depths="results/tables/concept_depth.csv",
        draws="results/depth/draws.h5",
        records=[
            cells("results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json"),
            if_baselines("results/provenance/train_baselines/{dataset}.{perturbation}.json"),
            "results/provenance/estimate_depth.json",
        ],
    output:
        partial=report(
            "results/tables/partial_depth.csv",
            caption="../report/partial_depth.rst",
            category="Tables",
            labels={"table": "Depth without confounds"},
        ),
        record="results/provenance/estimate_partial_depth.json",
    log:
        "results/logs/estimate_partial_depth.log",
    localrule: True
    conda:
        "../envs/depth.yaml"
    params:
        code=code_digest("estimate_partial_depth.py"),
        software=pins("depth"),
        depth=settings.in_order(config["depth"]),
        intervals=settings.in_order(config["intervals"]),
        controls=settings.chosen_keys(config["controls"], ["partial_out"]),
    script:
        "../workflow_scripts/estimate_partial_depth.py"


rule compare_depths:
    """Compare weight formats and perturbations on the same statements."""
    input:
        draws="results/depth/draws.h5",
        record="results/provenance/estimate_depth.json",
    output:
        differences=report(
            "results/tables/depth_differences.csv",
            caption="../report/depth_differences.rst",
            category="Tables",
            labels={"table": "Differences of formats and perturbations"},
        ),
        record="results/provenance/compare_depths.json",
    log:
        "results/logs/compare_depths.log",
    localrule: True
    conda:
        "../envs/depth.yaml"
    params:
        code=code_digest("compare_depths.py"),
        software=pins("depth"),
        intervals=settings.in_order(config["intervals"]),
        order=settings.grid(config),
    script:
        "../workflow_scripts/compare_depths.py"


rule check_claims:
    """Hold claims about depth against the run, and against the published numbers."""
    input:
        depths="results/tables/concept_depth.csv",
        draws="results/depth/draws.h5",
        published=[
            published_table("site_peak_converge"),
            published_table("models"),
            published_table("datasets"),
        ],
        record="results/provenance/estimate_depth.json",
    output:
        claims=report(
            "results/tables/claims.csv",
            caption="../report/claims.rst",
            category="Tables",
            labels={"table": "Claims, and what speaks for them"},
        ),
        record="results/provenance/check_claims.json",
    log:
        "results/logs/check_claims.log",
    localrule: True
    conda:
        "../envs/depth.yaml"
    params:
        code=code_digest("check_claims.py"),
        software=pins("depth"),
        claims=settings.claims(config),
        intervals=settings.in_order(config["intervals"]),
        kinds=settings.kinds(config),
    script:
        "../workflow_scripts/check_claims.py"


rule measure_variance:
    """Measure how much of depth and accuracy is the choice of position, wording, site, split and statements."""
    input:
        scores="results/tables/layer_scores.csv",
        draws="results/depth/draws.h5",
        records=[
            "results/provenance/collect_scores.json",
            "results/provenance/estimate_depth.json",
        ],
    output:
        variance=report(
            "results/tables/depth_variance.csv",
            caption="../report/depth_variance.rst",
            category="Tables",
            labels={"table": "How much is position and wording"},
        ),
        record="results/provenance/measure_variance.json",
    log:
        "results/logs/measure_variance.log",
    localrule: True
    conda:
        "../envs/depth.yaml"
    params:
        code=code_digest("measure_variance.py"),
        software=pins("depth"),
    script:
        "../workflow_scripts/measure_variance.py"
