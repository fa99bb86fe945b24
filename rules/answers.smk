"""Prompts -> what the model itself says, beside what a probe finds in it. Optional: `snakemake answers`.

reads   results/models/{model}/model.json, results/prompts/{dataset}.{perturbation}.jsonl,
        results/tables/layer_scores.csv
writes  results/{answers,lens}/{model}/{quantization}/{dataset}.{perturbation}.csv, results/tables/direct_answers.csv,
        results/figures/answers.{svg,png}; and what rules/lens.smk makes of the layers
"""


rule score_answers:
    """Score each statement by the probability of the one answer, against the other, as the next token; at each layer, too."""
    input:
        model="results/models/{model}/model.json",
        prompts="results/prompts/{dataset}.{perturbation}.jsonl",
        records=[
            "results/provenance/fetch_model/{model}.json",
            "results/provenance/render_prompts/{dataset}.{perturbation}.json",
        ],
    output:
        answers="results/answers/{model}/{quantization}/{dataset}.{perturbation}.csv",
        lens="results/lens/{model}/{quantization}/{dataset}.{perturbation}.csv",
        record="results/provenance/score_answers/{model}/{quantization}/{dataset}.{perturbation}.json",
    log:
        "results/logs/score_answers/{model}/{quantization}/{dataset}.{perturbation}.log",
    benchmark:
        "results/benchmarks/score_answers/{model}/{quantization}/{dataset}.{perturbation}.tsv"
    priority: extraction_priority
    conda:
        "../envs/answers.yaml"
    threads: config["execution"]["extraction_threads"]
    resources:
        mem_mb=extraction_memory,
        runtime=extraction_minutes,
        gres=gpus_of_model,
    params:
        code=code_digest("score_answers.py"),
        software=pins("answers"),
        answers=answer_settings,
        perturbation=chat_of_rendering,
        model=entry("model", "tokenizer", "trust_remote_code"),
    script:
        "../workflow_scripts/score_answers.py"


rule collect_answers:
    """Put the models' own answers in all cells into one table of rates."""
    input:
        answers=chosen_cells("results/answers/{model}/{quantization}/{dataset}.{perturbation}.csv"),
        records=chosen_cells("results/provenance/score_answers/{model}/{quantization}/{dataset}.{perturbation}.json"),
    output:
        answers=report(
            "results/tables/direct_answers.csv",
            caption="../report/direct_answers.rst",
            category="Tables",
            labels={"table": "What the models themselves answer"},
        ),
        record="results/provenance/collect_answers.json",
    log:
        "results/logs/collect_answers.log",
    localrule: True
    conda:
        "../envs/answers.yaml"
    params:
        code=code_digest("collect_answers.py"),
        software=pins("answers"),
    script:
        "../workflow_scripts/collect_answers.py"


rule plot_answers:
    """Draw what a probe finds beside what the model says, a row for each dataset."""
    input:
        answers="results/tables/direct_answers.csv",
        scores="results/tables/layer_scores.csv",
        records=[
            "results/provenance/collect_answers.json",
            "results/provenance/collect_scores.json",
        ],
    output:
        svg=reported("results/figures/answers.svg", "Figures", "Probes and the model's own answers"),
        png="results/figures/answers.png",
        record="results/provenance/plot_answers.json",
    log:
        "results/logs/plot_answers.log",
    localrule: True
    conda:
        "../envs/answers.yaml"
    params:
        code=code_digest("plot_answers.py"),
        software=pins("answers"),
        labels=settings.figure_labels(config),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_answers.py"


rule answers:
    """Ask the models themselves, in every cell of the grid, and compare with the probes."""
    input:
        "results/tables/direct_answers.csv",
        "results/figures/answers.svg",
        "results/figures/answers.png",
        "results/tables/lens.csv",
        "results/tables/lens_depth.csv",
        "results/figures/lens.svg",
        "results/figures/lens.png",
