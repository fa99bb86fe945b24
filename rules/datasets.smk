"""Sources -> statements -> prompts.

reads   the registry of datasets; the mirror, the network or local files; results/datasets/{dataset}.too_long.csv if
        statements with too long prompts are left out
writes  results/sources/{dataset}/{file}, results/datasets/{dataset}.jsonl,
        results/prompts/{dataset}.{perturbation}.jsonl
"""


rule fetch_source:
    """Bring the pinned bytes of a dataset to this machine."""
    output:
        file="results/sources/{dataset}/{file}",
        record="results/provenance/fetch_source/{dataset}/{file}.json",
    log:
        "results/logs/fetch_source/{dataset}.{file}.log",
    localrule: True
    conda:
        "../envs/datasets.yaml"
    params:
        code=code_digest("fetch_source.py"),
        software=pins("datasets"),
        dataset=entry("dataset", "source"),
    script:
        "../workflow_scripts/fetch_source.py"


rule prepare_dataset:
    """Turn a source into labelled statements, filtered and capped, in the order of the source."""
    input:
        source=source_file("results/sources/{dataset}/{file}"),
        record=source_file("results/provenance/fetch_source/{dataset}/{file}.json"),
    output:
        statements="results/datasets/{dataset}.jsonl",
        record="results/provenance/prepare_dataset/{dataset}.json",
    log:
        "results/logs/prepare_dataset/{dataset}.log",
    conda:
        "../envs/datasets.yaml"
    params:
        code=code_digest("prepare_dataset.py"),
        software=pins("datasets"),
        dataset=entry("dataset", *settings.STATEMENTS),
    script:
        "../workflow_scripts/prepare_dataset.py"


rule render_prompts:
    """Put each statement, perturbed or not, into the template of its dataset, or of its rendering."""
    input:
        statements="results/datasets/{dataset}.jsonl",
        too_long=if_dropped("results/datasets/{dataset}.too_long.csv"),
        record="results/provenance/prepare_dataset/{dataset}.json",
        too_long_record=if_dropped("results/provenance/find_long_statements/{dataset}.json"),
    output:
        prompts="results/prompts/{dataset}.{perturbation}.jsonl",
        record="results/provenance/render_prompts/{dataset}.{perturbation}.json",
    log:
        "results/logs/render_prompts/{dataset}.{perturbation}.log",
    # The data audit, which comes before any model, reads those of all perturbations.
    priority: 1
    conda:
        "../envs/datasets.yaml"
    params:
        code=code_digest("render_prompts.py"),
        software=pins("datasets"),
        # A wording for another dataset, or a chat's system message, is no part of these.
        dataset=of_rendering(renderings.template_settings),
        prompts=of_rendering(renderings.instruction_settings),
        perturbation=of_rendering(renderings.text_settings),
    script:
        "../workflow_scripts/render_prompts.py"
