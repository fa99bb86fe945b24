"""Models and prompts -> activations of every layer, one job per cell.

reads   the registry of models, results/prompts/{dataset}.{perturbation}.jsonl; results/datasets/{dataset}.jsonl if
        statements with too long prompts are left out
writes  results/models/{model}/model.json (and weights, unless they are in a cache or folder),
        results/datasets/{dataset}.too_long.csv, if statements are left out,
        results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5,
        results/activations/{model}/{quantization}/index.csv
"""


rule fetch_model:
    """Bring a model's weights to this machine, safetensors or GGUF, and say what they are."""
    output:
        model="results/models/{model}/model.json",
        record="results/provenance/fetch_model/{model}.json",
    log:
        "results/logs/fetch_model/{model}.log",
    localrule: True
    conda:
        "../envs/activations.yaml"
    params:
        code=code_digest("fetch_model.py"),
        software=pins("activations"),
        model=entry("model", "source", "trust_remote_code"),
    script:
        "../workflow_scripts/fetch_model.py"


rule find_long_statements:
    """Find the statements of which a prompt is too long for a model of the run; only where they are left out."""
    input:
        statements="results/datasets/{dataset}.jsonl",
        models=expand("results/models/{model}/model.json", model=config["run"]["models"]),
        record="results/provenance/prepare_dataset/{dataset}.json",
        model_records=expand("results/provenance/fetch_model/{model}.json", model=config["run"]["models"]),
    output:
        too_long="results/datasets/{dataset}.too_long.csv",
        record="results/provenance/find_long_statements/{dataset}.json",
    log:
        "results/logs/find_long_statements/{dataset}.log",
    conda:
        "../envs/activations.yaml"
    params:
        code=code_digest("find_long_statements.py"),
        software=pins("activations"),
        dataset=entry("dataset", "template"),
        prompts=instruction,
        perturbations=renderings_of_run,
        answers=settings.in_order(config["answers"]),
        models=entries_of_run("model", "tokenizer", "trust_remote_code"),
    script:
        "../workflow_scripts/find_long_statements.py"


rule extract_activations:
    """Read the vectors of every prompt, in every layer."""
    input:
        model="results/models/{model}/model.json",
        prompts="results/prompts/{dataset}.{perturbation}.jsonl",
        records=[
            "results/provenance/fetch_model/{model}.json",
            "results/provenance/render_prompts/{dataset}.{perturbation}.json",
        ],
    output:
        activations="results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5",
        record="results/provenance/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.json",
    log:
        "results/logs/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.log",
    benchmark:
        "results/benchmarks/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.tsv"
    priority: extraction_priority
    conda:
        "../envs/activations.yaml"
    threads: config["execution"]["extraction_threads"]
    resources:
        mem_mb=extraction_memory,
        runtime=extraction_minutes,
        gres=gpus_of_model,
        one_of_model=1,
    params:
        code=code_digest("extract_activations.py"),
        software=pins("activations"),
        activations=extraction_settings,
        perturbation=chat_of_rendering,
        model=entry("model", "tokenizer", "trust_remote_code"),
    script:
        "../workflow_scripts/extract_activations.py"


rule index_activations:
    """List the files of a model in one weight format; on a cluster this holds its cells together as one job."""
    input:
        records=cells_of_model(
            "results/provenance/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.json"
        ),
    output:
        index="results/activations/{model}/{quantization}/index.csv",
        record="results/provenance/index_activations/{model}/{quantization}.json",
    log:
        "results/logs/index_activations/{model}/{quantization}.log",
    conda:
        "../envs/activations.yaml"
    resources:
        mem_mb=500,
        runtime=5,
        gres=gpus_of_model,
    params:
        code=code_digest("index_activations.py"),
        software=pins("activations"),
    script:
        "../workflow_scripts/index_activations.py"


rule show_prompts:
    """Print for each dataset the first prompt, its tokens and those that are probed."""
    input:
        prompts=expand(
            "results/prompts/{dataset}.{perturbation}.jsonl",
            **{
                "dataset": config["run"]["datasets"],
                "perturbation": config["run"]["perturbations"],
            },
        ),
        model=expand("results/models/{model}/model.json", model=config["run"]["models"][0]),
    log:
        "results/logs/show_prompts.log",
    localrule: True
    conda:
        "../envs/activations.yaml"
    params:
        chats={name: renderings.chat_settings(config, name) for name in config["run"]["perturbations"]},
        positions=config["activations"]["positions"],
    script:
        "../workflow_scripts/show_prompts.py"
