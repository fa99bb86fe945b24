"""What each switch alone does to accuracy and depth. Optional: `snakemake ablation`.

The rules of the stages again, each under a switch of the configuration (`ablation.switches`): their settings are
those under the switch, and what it does not touch is read from the cell itself.

reads   results/sources/, results/models/, and of each cell results/datasets/ to results/probes/
writes  results/ablation/{switch}/{datasets,prompts,activations,probes}/, results/tables/ablation.csv,
        results/figures/ablation.{svg,png}
"""


use rule prepare_dataset as prepare_dataset__ablated with:
    output:
        statements="results/ablation/{switch}/datasets/{dataset}.jsonl",
        record="results/provenance/prepare_dataset__ablated/{switch}/{dataset}.json",
    log:
        "results/logs/prepare_dataset__ablated/{switch}/{dataset}.log",


use rule find_long_statements as find_long_statements__ablated with:
    input:
        statements=own_or_switched("datasets", "results/{ablation}datasets/{dataset}.jsonl"),
        models=expand("results/models/{model}/model.json", model=config["run"]["models"]),
        record=own_or_switched("datasets", "results/provenance/prepare_dataset{ablated}/{dataset}.json"),
        model_records=expand("results/provenance/fetch_model/{model}.json", model=config["run"]["models"]),
    output:
        too_long="results/ablation/{switch}/datasets/{dataset}.too_long.csv",
        record="results/provenance/find_long_statements__ablated/{switch}/{dataset}.json",
    log:
        "results/logs/find_long_statements__ablated/{switch}/{dataset}.log",


use rule render_prompts as render_prompts__ablated with:
    input:
        statements=own_or_switched("datasets", "results/{ablation}datasets/{dataset}.jsonl"),
        # Whatever the switch touches, those of its own: other texts, and other noise, have other lengths.
        too_long=if_dropped("results/ablation/{switch}/datasets/{dataset}.too_long.csv"),
        record=own_or_switched("datasets", "results/provenance/prepare_dataset{ablated}/{dataset}.json"),
        too_long_record=if_dropped("results/provenance/find_long_statements__ablated/{switch}/{dataset}.json"),
    output:
        prompts="results/ablation/{switch}/prompts/{dataset}.{perturbation}.jsonl",
        record="results/provenance/render_prompts__ablated/{switch}/{dataset}.{perturbation}.json",
    log:
        "results/logs/render_prompts__ablated/{switch}/{dataset}.{perturbation}.log",


use rule extract_activations as extract_activations__ablated with:
    input:
        model="results/models/{model}/model.json",
        prompts=own_or_switched("prompts", "results/{ablation}prompts/{dataset}.{perturbation}.jsonl"),
        model_record="results/provenance/fetch_model/{model}.json",
        prompts_record=own_or_switched(
            "prompts", "results/provenance/render_prompts{ablated}/{dataset}.{perturbation}.json"
        ),
    output:
        activations="results/ablation/{switch}/activations/{model}/{quantization}/{dataset}.{perturbation}.h5",
        record="results/provenance/extract_activations__ablated/{switch}/{model}/{quantization}/{dataset}.{perturbation}.json",
    log:
        "results/logs/extract_activations__ablated/{switch}/{model}/{quantization}/{dataset}.{perturbation}.log",
    benchmark:
        "results/benchmarks/extract_activations__ablated/{switch}/{model}/{quantization}/{dataset}.{perturbation}.tsv"


use rule train_probes as train_probes__ablated with:
    input:
        # By its record and not its time stamp, as in train_probes.
        activations=ancient(
            own_or_switched(
                "activations", "results/{ablation}activations/{model}/{quantization}/{dataset}.{perturbation}.h5"
            )
        ),
        record=own_or_switched(
            "activations",
            "results/provenance/extract_activations{ablated}/{model}/{quantization}/{dataset}.{perturbation}.json",
        ),
    output:
        scores="results/ablation/{switch}/probes/{model}/{quantization}/{dataset}.{perturbation}.csv",
        probes="results/ablation/{switch}/probes/{model}/{quantization}/{dataset}.{perturbation}.h5",
        record="results/provenance/train_probes__ablated/{switch}/{model}/{quantization}/{dataset}.{perturbation}.json",
    log:
        "results/logs/train_probes__ablated/{switch}/{model}/{quantization}/{dataset}.{perturbation}.log",
    benchmark:
        "results/benchmarks/train_probes__ablated/{switch}/{model}/{quantization}/{dataset}.{perturbation}.tsv"
    params:
        probes=section("probes"),
        # Switches are compared on the concept as it is.
        controls=settings.chosen_keys(config["controls"], ["targets", "embedding_layer"]),


rule tabulate_ablation:
    """Put accuracy and depths of every cell beside those under each switch alone, and under all."""
    input:
        own=chosen_cells("results/probes/{model}/{quantization}/{dataset}.{perturbation}.csv"),
        switched=switched("results/ablation/{switch}/probes/{model}/{quantization}/{dataset}.{perturbation}.csv"),
        own_records=chosen_cells("results/provenance/train_probes/{model}/{quantization}/{dataset}.{perturbation}.json"),
        switched_records=switched(
            "results/provenance/train_probes__ablated/{switch}/{model}/{quantization}/{dataset}.{perturbation}.json"
        ),
    output:
        ablation=report(
            "results/tables/ablation.csv",
            caption="../report/ablation_table.rst",
            category="Tables",
            labels={"table": "What each switch does"},
        ),
        record="results/provenance/tabulate_ablation.json",
    log:
        "results/logs/tabulate_ablation.log",
    localrule: True
    conda:
        "../envs/ablation.yaml"
    params:
        code=code_digest("tabulate_ablation.py"),
        software=pins("ablation"),
        depth=settings.in_order(config["depth"]),
    script:
        "../workflow_scripts/tabulate_ablation.py"


rule plot_ablation:
    """Draw what each switch does to accuracy and depth, a row of panels for each dataset."""
    input:
        ablation="results/tables/ablation.csv",
        record="results/provenance/tabulate_ablation.json",
    output:
        svg=reported("results/figures/ablation.svg", "Figures", "What each switch does"),
        png="results/figures/ablation.png",
        record="results/provenance/plot_ablation.json",
    log:
        "results/logs/plot_ablation.log",
    localrule: True
    conda:
        "../envs/ablation.yaml"
    params:
        code=code_digest("plot_ablation.py"),
        software=pins("ablation"),
        labels=settings.figure_labels(config),
        figures=settings.in_order(config["figures"]),
    script:
        "../workflow_scripts/plot_ablation.py"


rule ablation:
    """Run every cell of the grid under each switch alone, and compare."""
    input:
        "results/tables/ablation.csv",
        "results/figures/ablation.svg",
        "results/figures/ablation.png",
