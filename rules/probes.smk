"""Activations -> one probe per layer -> scores, and the same of classifiers that see words alone.

reads   results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5,
        results/prompts/{dataset}.{perturbation}.jsonl; results/answers/{model}/{quantization}/{dataset}.{perturbation}.csv
        where the model's confidence is taken out of features
writes  results/probes/{model}/{quantization}/{dataset}.{perturbation}.csv (scores) and .h5 (coefficients,
        held-out predictions), results/baselines/{dataset}.{perturbation}.csv and .h5,
        results/tables/layer_scores.csv, results/tables/baseline_scores.csv
"""


rule train_probes:
    """Train and test the probes of all layers of one cell."""
    input:
        # A time stamp would not do for a file of gigabytes: what counts is its record, which holds its hash.
        activations=ancient("results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5"),
        record="results/provenance/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.json",
        prompts=of_nuisances([WORDS, WORDING], "results/prompts/{dataset}.{perturbation}.jsonl"),
        prompts_record=of_nuisances([WORDS, WORDING], "results/provenance/render_prompts/{dataset}.{perturbation}.json"),
        answers=of_nuisances([CONFIDENCE], "results/answers/{model}/{quantization}/{dataset}.{perturbation}.csv"),
        answers_record=of_nuisances(
            [CONFIDENCE], "results/provenance/score_answers/{model}/{quantization}/{dataset}.{perturbation}.json"
        ),
    output:
        scores="results/probes/{model}/{quantization}/{dataset}.{perturbation}.csv",
        probes="results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5",
        record="results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json",
    log:
        "results/logs/train_probes/{model}/{quantization}/{dataset}.{perturbation}.log",
    benchmark:
        "results/benchmarks/train_probes/{model}/{quantization}/{dataset}.{perturbation}.tsv"
    conda:
        "../envs/probes.yaml"
    threads: config["execution"]["probe_threads"]
    resources:
        # A process for each thread.
        mem_mb=700 + 300 * config["execution"]["probe_threads"],
    params:
        code=code_digest("train_probes.py"),
        software=pins("probes"),
        probes=settings.in_order(config["probes"]),
        controls=settings.chosen_keys(config["controls"], ["targets", "embedding_layer", "partial_out"]),
    script:
        "../workflow_scripts/train_probes.py"


rule train_baselines:
    """Train and test classifiers of the words of prompts, without a model, on the splits of the probes."""
    input:
        prompts="results/prompts/{dataset}.{perturbation}.jsonl",
        record="results/provenance/render_prompts/{dataset}.{perturbation}.json",
    output:
        scores="results/baselines/{dataset}.{perturbation}.csv",
        predictions="results/baselines/{dataset}.{perturbation}.h5",
        record="results/provenance/train_baselines/{dataset}.{perturbation}.json",
    log:
        "results/logs/train_baselines/{dataset}.{perturbation}.log",
    conda:
        "../envs/probes.yaml"
    resources:
        mem_mb=1000,
    params:
        code=code_digest("train_baselines.py"),
        software=pins("probes"),
        split=settings.chosen_keys(config["probes"], ["split", "test_share", "seeds"]),
        baselines=config["controls"]["baselines"],
    script:
        "../workflow_scripts/train_baselines.py"


rule collect_scores:
    """Put the scores of all cells into one long table, and those of all baselines into another."""
    input:
        scores=cells("results/probes/{model}/{quantization}/{dataset}.{perturbation}.csv"),
        baselines=if_baselines("results/baselines/{dataset}.{perturbation}.csv"),
        records=[
            cells("results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json"),
            if_baselines("results/provenance/train_baselines/{dataset}.{perturbation}.json"),
        ],
    output:
        scores=report(
            "results/tables/layer_scores.csv",
            caption="../report/layer_scores.rst",
            category="Tables",
            labels={"table": "Scores of every probe"},
        ),
        baselines=report(
            "results/tables/baseline_scores.csv",
            caption="../report/baseline_scores.rst",
            category="Tables",
            labels={"table": "Scores of words alone"},
        ),
        record="results/provenance/collect_scores.json",
    log:
        "results/logs/collect_scores.log",
    localrule: True
    conda:
        "../envs/probes.yaml"
    params:
        code=code_digest("collect_scores.py"),
        software=pins("probes"),
    script:
        "../workflow_scripts/collect_scores.py"
