"""Models and prompts -> activations of every layer, one job per cell.

reads   the registry of models, results/prompts/{dataset}.{perturbation}.jsonl
writes  results/models/{model}/model.json (and weights, unless they are in a cache or folder),
        results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5
"""


localrules:
    fetch_model,


BYTES_PER_PARAMETER = {"fp32": 4, "bf16": 2, "int8": 5, "nf4": 5}
"""At the peak, which for int8 and nf4 is while weights are quantized."""


def extraction_memory(wildcards):
    """Return the memory of an extraction job in MB: libraries, then weights."""
    parameters = config["models"][wildcards.model]["parameters"]
    return 900 + parameters * BYTES_PER_PARAMETER[wildcards.quantization] // 10**6


def extraction_settings(wildcards):
    """Return what decides the vectors of a cell; only int8 depends on what is computed together."""
    keys = ["sites"] + (["int8_batch_tokens"] if wildcards.quantization == "int8" else [])
    return {key: config["activations"][key] for key in keys}


def pinned_model(wildcards):
    """Return the source of a model with the digest of its bytes, where it is one file."""
    return pinned(config["models"][wildcards.model]["source"])


rule fetch_model:
    """Bring a model's weights to this machine, safetensors or GGUF, and say what they are."""
    output:
        "results/models/{model}/model.json",
    params:
        code=code_digest("fetch_model.py"),
        source=pinned_model,
    log:
        "results/logs/fetch_model/{model}.log",
    conda:
        "../envs/activations.yaml"
    script:
        "../workflow_scripts/fetch_model.py"


rule extract_activations:
    """Read the vectors at the last token of every prompt, in every layer."""
    input:
        model="results/models/{model}/model.json",
        prompts="results/prompts/{dataset}.{perturbation}.jsonl",
    output:
        "results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5",
    params:
        code=code_digest("extract_activations.py"),
        settings=extraction_settings,
        model=entry("model", "trust_remote_code"),
    threads: config["execution"]["extraction_threads"]
    resources:
        mem_mb=extraction_memory,
    log:
        "results/logs/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.log",
    benchmark:
        "results/benchmarks/extract_activations/{model}/{quantization}/{dataset}.{perturbation}.tsv"
    conda:
        "../envs/activations.yaml"
    script:
        "../workflow_scripts/extract_activations.py"
