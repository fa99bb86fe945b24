"""The paper's whole grid can be planned on a machine that has nothing of it."""

import re
import sys

MODELS, DATASETS, PERTURBATIONS, CELLS = 9, 9, 2, 486


def test_the_plan_has_486_cells_and_needs_nothing_but_the_configuration(project):
    result = project.run(sys.executable, "-m", "snakemake", "--dry-run", "--configfile", "config/paper.yaml")
    assert result.returncode == 0, result.stderr
    said = result.stdout + result.stderr
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)}
    assert jobs == {
        "fetch_source": DATASETS, "prepare_dataset": DATASETS, "render_prompts": DATASETS * PERTURBATIONS,
        "fetch_model": MODELS, "extract_activations": CELLS, "index_activations": CELLS // (DATASETS * PERTURBATIONS), "train_probes": CELLS, "collect_scores": 1,
        "estimate_depth": 1, "compare_depths": 1, "check_claims": 1, "record_configuration": 1, "plot_accuracy": 1, "plot_comparison__perturbations": 1,
        "plot_comparison__quantizations": 1, "plot_depths": 1, "compare_published": 1, "build_explorer": 1, "audit_results": 1, "summarise_run": 1, "all": 1, "total": 1058,
    }  # fmt: skip
    assert not re.search("warning|error|traceback", said, re.IGNORECASE)
    made = [path for path in (project.folder / "results").rglob("*") if path.is_file()]
    assert {path.parent.name for path in made} <= {".syntax"}


def test_hateeval_is_not_fetched_before_its_licence_is_accepted(project):
    target = "results/sources/hateeval/hateeval.tsv"
    result = project.run(sys.executable, "-m", "snakemake", target, "--cores", "1", "--configfile", "config/paper.yaml")
    assert result.returncode == 1
    said = result.stdout + result.stderr
    assert re.search(
        r"Error: datasets.hateeval: read its licence, CC BY-NC 4.0.*`datasets.hateeval.accept_licence: true`", said
    )
    assert "Traceback" not in said
    assert not (project.folder / target).exists()
