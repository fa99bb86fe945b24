"""Concept Depth: at which layer does a language model come to know a concept?"""

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.15")

# What is beside this file is found there, whatever folder Snakemake works in.
here = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
if not here.is_dir():
    raise WorkflowError(
        "A module's Snakefile must lie on this machine with what is beside it: clone the repository, and give its path, or "
        "name workflow/Snakefile of the host, which unpacks it."
    )


configfile: here / "config/models.yaml"
configfile: here / "config/datasets.yaml"
configfile: here / "config/config.yaml"
configfile: here / "config/claims.yaml"


report: "report/workflow.rst"


# `<dataset>.<perturbation>` is told apart at the dot; models and files may have dots of their own.
wildcard_constraints:
    model="[^/]+",
    quantization="[^/.]+",
    dataset="[^/.]+",
    perturbation="[^/.]+",
    switch="[^/]+",


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/switches.smk"
include: "rules/datasets.smk"
include: "rules/data_audit.smk"
include: "rules/activations.smk"
include: "rules/probes.smk"
include: "rules/depth.smk"
include: "rules/drift.smk"
include: "rules/transfer.smk"
include: "rules/simulation.smk"
include: "rules/figures.smk"
include: "rules/published.smk"
include: "rules/explorer.smk"
include: "rules/answers.smk"
include: "rules/lens.smk"
include: "rules/causal.smk"
include: "rules/ablation.smk"
include: "rules/provenance.smk"
include: "rules/summary.smk"


rule all:
    default_target: True
    input:
        cells("results/datasets/{dataset}.jsonl"),
        if_audited("results/tables/data_audit.csv"),
        cells("results/prompts/{dataset}.{perturbation}.jsonl"),
        cells("results/models/{model}/model.json"),
        cells("results/activations/{model}/{quantization}/{dataset}.{perturbation}.h5"),
        cells("results/activations/{model}/{quantization}/index.csv"),
        cells("results/probes/{model}/{quantization}/{dataset}.{perturbation}.csv"),
        if_baselines("results/baselines/{dataset}.{perturbation}.csv"),
        "results/tables/layer_scores.csv",
        "results/tables/baseline_scores.csv",
        "results/tables/concept_depth.csv",
        "results/tables/layer_intervals.csv",
        "results/tables/depth_differences.csv",
        if_partial("results/tables/partial_depth.csv"),
        "results/tables/claims.csv",
        if_compared("results/tables/activation_drift.csv"),
        if_varied("results/tables/depth_variance.csv"),
        if_simulated("results/tables/coverage.csv"),
        if_transferred("results/tables/transfer.csv"),
        "results/tables/configuration.yaml",
        if_published("results/tables/published_differences.csv"),
        figures("results/figures/{name}.svg"),
        figures("results/figures/{name}.png"),
        "results/explorer.html",
        "results/audit.html",
        "results/README.md",
        "results/tables/latex/main.tex",
        rules.audit_results.input.records,


# A file in the place of a folder would otherwise end Snakemake in the middle of the run.
try:
    check_outputs([*rules.all.input, *(path for rule in workflow.rules for path in (*rule.output, *rule.log))])
except (UserError, OSError) as error:
    raise WorkflowError(told(error)) from None
