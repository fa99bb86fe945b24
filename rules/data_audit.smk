"""Datasets -> what is wrong with them, before any model reads them.

reads   results/datasets/{dataset}.jsonl, results/prompts/{dataset}.{perturbation}.jsonl,
        results/sources/{dataset}/{file}; results/datasets/{dataset}.too_long.csv if statements with too long prompts are
        left out
writes  results/data_audit/{dataset}.csv, results/tables/data_audit.csv
"""


rule audit_data:
    """Check a dataset for labels that can be told without knowing the concept."""
    input:
        statements="results/datasets/{dataset}.jsonl",
        prompts=prompts_of_dataset("results/prompts/{dataset}.{perturbation}.jsonl"),
        source=source_file("results/sources/{dataset}/{file}"),
        too_long=if_dropped("results/datasets/{dataset}.too_long.csv"),
        record="results/provenance/prepare_dataset/{dataset}.json",
        prompt_records=prompts_of_dataset("results/provenance/render_prompts/{dataset}.{perturbation}.json"),
        too_long_record=if_dropped("results/provenance/find_long_statements/{dataset}.json"),
        source_record=source_file("results/provenance/fetch_source/{dataset}/{file}.json"),
    output:
        findings="results/data_audit/{dataset}.csv",
        record="results/provenance/audit_data/{dataset}.json",
    log:
        "results/logs/audit_data/{dataset}.log",
    # Before any model is loaded, as a finding may end the run.
    priority: 1
    conda:
        "../envs/data_audit.yaml"
    resources:
        mem_mb=1000,
    params:
        code=code_digest("audit_data.py"),
        software=pins("data_audit"),
        dataset=entry("dataset", *settings.STATEMENTS),
        answers=answers_of,
        split=settings.chosen_keys(config["probes"], ["split", "test_share", "seeds"]),
        data_audit=settings.in_order(config["data_audit"]),
    script:
        "../workflow_scripts/audit_data.py"


rule collect_data_audit:
    """Put the findings of all datasets into one table."""
    input:
        findings=cells("results/data_audit/{dataset}.csv"),
        records=cells("results/provenance/audit_data/{dataset}.json"),
    output:
        findings=report(
            "results/tables/data_audit.csv",
            caption="../report/data_audit.rst",
            category="Tables",
            labels={"table": "What is wrong with the datasets"},
        ),
        record="results/provenance/collect_data_audit.json",
    log:
        "results/logs/collect_data_audit.log",
    localrule: True
    conda:
        "../envs/data_audit.yaml"
    params:
        code=code_digest("collect_data_audit.py"),
        software=pins("data_audit"),
    script:
        "../workflow_scripts/collect_data_audit.py"
