"""Vectors that are changed along a concept, and what models answer then. Optional: `snakemake causal`.

reads   results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5,
        results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5,
        results/models/{model}/model.json, results/prompts/{dataset}.{perturbation}.jsonl,
        results/tables/layer_scores.csv, results/tables/lens.csv
writes  results/interventions/{model}/{quantization}/{dataset}.{perturbation}.h5 and .csv,
        results/causal/{model}/{quantization}/{dataset}.{perturbation}.h5, results/causal/README.md,
        results/tables/causal.csv, results/tables/causal_depth.csv, results/tables/use_claims.csv,
        results/figures/causal.{svg,png}
"""

if "causal" in sys.argv and (lacking := why_not_causal(config)):
    raise WorkflowError(lacking)


rule choose_interventions:
    """Choose layers, held-out statements and directions: the concept's, and random ones like it."""
    input:
        # By their records and not their time stamps, as in train_probes.
        activations=ancient("results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5"),
        probes="results/probes/{model}/{quantization}/{dataset}.{perturbation}.h5",
        records=[
            "results/provenance/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.json",
            "results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json",
        ],
    output:
        changes="results/interventions/{model}/{quantization}/{dataset}.{perturbation}.h5",
        facts="results/interventions/{model}/{quantization}/{dataset}.{perturbation}.csv",
        record="results/provenance/choose_interventions/{model}/{quantization}/{dataset}.{perturbation}.json",
    log:
        "results/logs/choose_interventions/{model}/{quantization}/{dataset}.{perturbation}.log",
    benchmark:
        "results/benchmarks/choose_interventions/{model}/{quantization}/{dataset}.{perturbation}.tsv"
    conda:
        "../envs/causal.yaml"
    resources:
        mem_mb=3000,
    params:
        code=code_digest("choose_interventions.py"),
        software=pins("causal"),
        causal=settings.chosen_keys(
            config["causal"],
            [
                "methods",
                "position",
                "probe",
                "every",
                "statements",
                "random_directions",
                "deviations",
                "seed",
            ],
        ),
        probes=settings.in_order(config["probes"]),
        intervals=settings.in_order(config["intervals"]),
    script:
        "../workflow_scripts/choose_interventions.py"


rule measure_effects:
    """Ask a model with its vectors changed at one layer, in all ways that were chosen."""
    input:
        model="results/models/{model}/model.json",
        prompts="results/prompts/{dataset}.{perturbation}.jsonl",
        changes="results/interventions/{model}/{quantization}/{dataset}.{perturbation}.h5",
        records=[
            "results/provenance/fetch_model/{model}.json",
            "results/provenance/render_prompts/{dataset}.{perturbation}.json",
            "results/provenance/choose_interventions/{model}/{quantization}/{dataset}.{perturbation}.json",
        ],
    output:
        effects="results/causal/{model}/{quantization}/{dataset}.{perturbation}.h5",
        record="results/provenance/measure_effects/{model}/{quantization}/{dataset}.{perturbation}.json",
    log:
        "results/logs/measure_effects/{model}/{quantization}/{dataset}.{perturbation}.log",
    benchmark:
        "results/benchmarks/measure_effects/{model}/{quantization}/{dataset}.{perturbation}.tsv"
    priority: extraction_priority
    conda:
        "../envs/causal.yaml"
    threads: config["execution"]["extraction_threads"]
    resources:
        mem_mb=extraction_memory,
        runtime=extraction_minutes,
        gres=gpus_of_model,
    params:
        code=code_digest("measure_effects.py"),
        software=pins("causal"),
        answers=answer_settings,
        causal=settings.chosen_keys(config["causal"], ["neutral"]),
        perturbation=chat_of_rendering,
        model=entry("model", "tokenizer", "trust_remote_code"),
    script:
        "../workflow_scripts/measure_effects.py"


rule collect_causal:
    """Find at which layers changes along a concept change answers, with intervals and p values."""
    input:
        effects=chosen_cells("results/causal/{model}/{quantization}/{dataset}.{perturbation}.h5"),
        facts=chosen_cells("results/interventions/{model}/{quantization}/{dataset}.{perturbation}.csv"),
        records=[
            chosen_cells("results/provenance/measure_effects/{model}/{quantization}/{dataset}.{perturbation}.json"),
            chosen_cells(
                "results/provenance/choose_interventions/{model}/{quantization}/{dataset}.{perturbation}.json"
            ),
        ],
    output:
        layers=report(
            "results/tables/causal.csv",
            caption="../report/causal_table.rst",
            category="Tables",
            labels={"table": "What changes along a concept do to answers"},
        ),
        depths=report(
            "results/tables/causal_depth.csv",
            caption="../report/causal_depth.rst",
            category="Tables",
            labels={"table": "Depth at which concepts are used"},
        ),
        words="results/causal/README.md",
        record="results/provenance/collect_causal.json",
    log:
        "results/logs/collect_causal.log",
    localrule: True
    conda:
        "../envs/causal.yaml"
    params:
        code=code_digest("collect_causal.py"),
        software=pins("causal"),
        intervals=settings.in_order(config["intervals"]),
        labels=settings.figure_labels(config),
    script:
        "../workflow_scripts/collect_causal.py"


rule plot_causal:
    """Draw what probes find, what layers would answer, and what changes along the concept do, over depth."""
    input:
        causal="results/tables/causal.csv",
        scores="results/tables/layer_scores.csv",
        lens="results/tables/lens.csv",
        records=[
            "results/provenance/collect_causal.json",
            "results/provenance/collect_scores.json",
            "results/provenance/collect_lens.json",
        ],
    output:
        svg=reported("results/figures/causal.svg", "Figures", "Probes, the answers of each layer, and what is used"),
        png="results/figures/causal.png",
        record="results/provenance/plot_causal.json",
    log:
        "results/logs/plot_causal.log",
    localrule: True
    conda:
        "../envs/causal.yaml"
    params:
        code=code_digest("plot_causal.py"),
        software=pins("causal"),
        labels=settings.figure_labels(config),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_causal.py"


rule check_use:
    """Hold claims about what models use against the run."""
    input:
        depths="results/tables/concept_depth.csv",
        causal="results/tables/causal_depth.csv",
        lens="results/tables/lens_depth.csv",
        transfer=if_transferred("results/tables/transfer.csv"),
        records=[
            "results/provenance/estimate_depth.json",
            "results/provenance/collect_causal.json",
            "results/provenance/collect_lens.json",
            if_transferred("results/provenance/collect_transfer.json"),
        ],
    output:
        claims=report(
            "results/tables/use_claims.csv",
            caption="../report/claims.rst",
            category="Tables",
            labels={"table": "Claims about what is used"},
        ),
        record="results/provenance/check_use.json",
    log:
        "results/logs/check_use.log",
    localrule: True
    conda:
        "../envs/causal.yaml"
    params:
        code=code_digest("check_use.py"),
        software=pins("causal"),
        claims=settings.claims(config),
        intervals=settings.in_order(config["intervals"]),
        kinds=settings.kinds(config),
    script:
        "../workflow_scripts/check_use.py"


rule causal:
    """Change the vectors of every cell along its concept, and find from which layer to which that changes answers."""
    input:
        "results/tables/causal.csv",
        "results/tables/causal_depth.csv",
        "results/tables/use_claims.csv",
        "results/figures/causal.svg",
        "results/figures/causal.png",
