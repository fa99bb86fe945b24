"""The rerun table: after a change exactly the stale jobs run again. docs/reruns.md states the same for users.

Each row copies a finished project, changes one thing, asks for a dry run and compares the jobs that it lists
with the patterns beside the change. A job is named like its record: ``train_probes/tiny/fp32/coins.clean``.
Of the modules, each is held against the digests of the scripts; one of each room, or all with `-m long`, has its dry run.
"""

import ast
import os
import re
import shutil
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from conceptdepth.pages.summary import EARLIER
from conceptdepth.provenance.digest import code_files, script_of
from project import REVISION, Project

LIBRARY = "workflow_scripts/conceptdepth"

GRID = {
    "models": ["tiny", "cached"],
    "quantizations": ["fp32", "int8"],
    "datasets": ["coins", "claims"],
    "perturbations": ["clean", "noise"],
}

DEPTHS = ["estimate_depth", "compare_depths", "check_claims"]


def jobs(grid=GRID, sources=("claims",), more=()) -> set[str]:
    """Every job of a grid, and some more."""
    cells = [
        f"{m}/{q}/{d}.{p}"
        for m in grid["models"]
        for q in grid["quantizations"]
        for d in grid["datasets"]
        for p in grid["perturbations"]
    ]
    comparisons = [f"plot_comparison__{name}" for name in ("perturbations", "quantizations") if len(grid[name]) > 1]
    return {
        *(f"fetch_source/{dataset}/{dataset}.csv" for dataset in sources),
        *(f"prepare_dataset/{d}" for d in grid["datasets"]),
        *(f"render_prompts/{d}.{p}" for d in grid["datasets"] for p in grid["perturbations"]),
        *(f"fetch_model/{m}" for m in grid["models"]),
        *(f"{rule}/{cell}" for rule in ("extract_activations", "train_probes") for cell in cells),
        *(f"audit_data/{d}" for d in grid["datasets"]),
        *(f"train_baselines/{d}.{p}" for d in grid["datasets"] for p in grid["perturbations"]),
        *(f"measure_drift/{m}/{d}" for m in grid["models"] for d in grid["datasets"]),
        *(f"index_activations/{m}/{q}" for m in grid["models"] for q in grid["quantizations"]),
        *(
            "collect_data_audit",
            "collect_scores",
            "collect_drift",
            *DEPTHS,
            "record_configuration",
            "build_explorer",
            "audit_results",
            "summarise_run",
        ),
        *("plot_accuracy", "plot_depths", "plot_drift", *comparisons, *more),
    }


def reruns(*patterns: str, among: set[str] | None = None) -> set[str]:
    """The jobs that the patterns name; what an audit found is said in words after each."""
    found = {job for job in among or jobs() for pattern in patterns if fnmatchcase(job, pattern)}
    assert all(any(fnmatchcase(job, pattern) for job in found) for pattern in patterns), "a pattern names no job"
    return found | ({"summarise_run"} if "audit_results" in found else set())


AUDITS = ["audit_data/*", "collect_data_audit", "build_explorer", "audit_results"]
AFTER_SCORES = ["collect_scores", *DEPTHS, "plot_[!d]*", "plot_depths", "build_explorer", "audit_results"]
DRIFT = ["measure_drift/*", "collect_drift", "plot_drift", "build_explorer"]
AFTER_PROBES = [*AFTER_SCORES, *DRIFT[1:]]
SETTINGS = ["record_configuration", "audit_results"]
PAGE = ["build_explorer", "audit_results"]
INDEX = "index_activations/*"
AFTER = {
    "fetch_source": ["fetch_source/*", "prepare_dataset/claims", "audit_data/claims", AUDITS[1], "*/claims.*", INDEX, "measure_drift/*/claims", *AFTER_PROBES],
    "prepare_dataset": ["prepare_dataset/*", "render_prompts/*", *AUDITS, "train_baselines/*", "extract_activations/*", INDEX, "train_probes/*", *DRIFT, *AFTER_SCORES],
    "audit_data": AUDITS,
    "collect_data_audit": AUDITS[1:],
    "render_prompts": ["render_prompts/*", *AUDITS, "train_baselines/*", "extract_activations/*", INDEX, "train_probes/*", *DRIFT, *AFTER_SCORES],
    "fetch_model": ["fetch_model/*", "extract_activations/*", INDEX, "train_probes/*", *DRIFT, *AFTER_SCORES],
    "extract_activations": ["extract_activations/*", INDEX, "train_probes/*", *DRIFT, *AFTER_SCORES],
    "index_activations": [INDEX, "audit_results"],
    "train_probes": ["train_probes/*", *DRIFT, *AFTER_SCORES],
    "train_baselines": ["train_baselines/*", *AFTER_SCORES],
    "measure_drift": [*DRIFT, "audit_results"],
    "collect_drift": [*DRIFT[1:], "audit_results"],
    "collect_scores": ["collect_scores", "plot_accuracy", "plot_comparison__*", *PAGE],
    "estimate_depth": [*DEPTHS, "plot_depths", *PAGE],
    "compare_depths": ["compare_depths", *PAGE],
    "check_claims": ["check_claims", *PAGE],
    "record_configuration": SETTINGS,
    "build_explorer": PAGE,
    "audit_results": ["audit_results"],
    "summarise_run": ["summarise_run"],
    **{plot: [plot, "audit_results"] for plot in ("plot_accuracy", "plot_depths", "plot_drift")},
    "plot_comparison": ["plot_comparison__*", "audit_results"],
    # No cell of this grid has published numbers, and what is drawn of them alone has to be asked for.
    **dict.fromkeys(["compare_published", "plot_published_curves", "plot_published_sizes"], []),
    # Only where statements with too long prompts are left out: test_too_long_run.py.
    "find_long_statements": [],
    # Only where statements are read in more than one way: the row "several sites".
    **dict.fromkeys(["measure_variance", "plot_positions"], []),
    # Only where known truth is simulated.
    "simulate_coverage": [],
    # Only where nuisances are taken out of features: test_partial_out_run.py, and the row "confounds taken out".
    "estimate_partial_depth": [],
    # Only where probes are transferred: test_transfer_run.py, and the row "transfer".
    **dict.fromkeys(["measure_transfer", "collect_transfer", "plot_transfer"], []),
    # Only for those who ask the models themselves: test_answers_run.py.
    **dict.fromkeys(["score_answers", "collect_answers", "plot_answers", "collect_lens", "plot_lens"], []),
    # Only for those who change vectors: test_causal_run.py.
    **dict.fromkeys(["choose_interventions", "measure_effects", "collect_causal", "plot_causal", "check_use"], []),
    # Only for those who compare switches: test_ablation_run.py. The rules of the stages under a switch have their scripts.
    **dict.fromkeys(["tabulate_ablation", "plot_ablation"], []),
}  # fmt: skip
"""Rule -> what runs again when all its jobs do."""

EVERYTHING = ["*"]
SCORES_ON = AFTER["train_probes"]
FROM_EXTRACTION = AFTER["extract_activations"]


def modules(room: str, *names: str) -> list[str]:
    """Name modules of a room as their paths in the library."""
    return [f"{room}/{name}" for name in names]


MODULES = {
    "__init__": EVERYTHING,
    **dict.fromkeys(modules("ground", "__init__", "disk", "errors", "files", "secrets", "shapes"), EVERYTHING),
    "ground/text": AFTER["prepare_dataset"],
    "ground/mappings": [],
    "ground/hdf5": [*FROM_EXTRACTION, *AFTER["train_baselines"]],
    "ground/jsonl": AFTER["prepare_dataset"],
    "ground/names": [*FROM_EXTRACTION, *AFTER["train_baselines"], *AUDITS],
    "ground/tables": ["plot_accuracy", "plot_comparison__*", "check_claims", *PAGE],
    **dict.fromkeys(
        modules("provenance", "__init__", "comparison", "digest", "environment", "job", "record"), EVERYTHING
    ),
    **dict.fromkeys(modules("provenance", "audit", "chain", "findings", "metadata"), ["audit_results"]),
    "provenance/kept": FROM_EXTRACTION,  # And the table of an ablation, which has to be asked for.
    "datasets/__init__": [*AFTER["fetch_source"], *AFTER["fetch_model"], *AFTER["prepare_dataset"]],
    **dict.fromkeys(
        modules("datasets", "statements", "tables", "contents", "cells", "parsers", "generators"),
        AFTER["prepare_dataset"],
    ),
    "datasets/prompts": AFTER["render_prompts"],
    **dict.fromkeys(modules("datasets", "rows", "too_long"), AFTER["render_prompts"]),
    **dict.fromkeys(
        modules("datasets", "archives", "download", "packages", "sources"),
        [*AFTER["fetch_source"], *AFTER["fetch_model"]],
    ),
    **dict.fromkeys(modules("datasets", "audit", "checks"), AUDITS),
    **dict.fromkeys(modules("datasets", "ends", "words"), [*AFTER["train_baselines"], *AUDITS]),
    "datasets/groups": [*SCORES_ON, *AFTER["train_baselines"], *AUDITS],
    "models/__init__": AFTER["fetch_model"],
    **dict.fromkeys(modules("models", "architectures", "checkpoint", "fetch", "hub"), AFTER["fetch_model"]),
    **dict.fromkeys(modules("models", "chat_files", "tokenizer_files"), AFTER["fetch_model"]),
    **dict.fromkeys(
        modules("models", "chat", "devices", "formats", "fused", "hooks", "limits", "loaded"), FROM_EXTRACTION
    ),
    **dict.fromkeys(
        modules("models", "loaded_weights", "loading", "places", "positions", "sites", "stream", "tokens"),
        FROM_EXTRACTION,
    ),
    **dict.fromkeys(modules("models", "head", "parts"), []),  # Answers have to be asked for.
    "models/weights": FROM_EXTRACTION,  # And the audit, which hashes weights: it runs after every change.
    **dict.fromkeys(
        modules(
            "activations",
            "__init__",
            "address",
            "attention",
            "cell",
            "collector",
            "ends",
            "extraction",
            "forward",
            "gathering",
            "layouts",
            "leaving",
            "plain",
            "reading",
            "request",
            "self_test",
            "server",
            "spots",
            "tested",
            "trees",
        ),
        FROM_EXTRACTION,
    ),
    **dict.fromkeys(modules("activations", "store", "worker"), FROM_EXTRACTION),
    **dict.fromkeys(modules("activations", "answers", "answer_cell"), []),  # Its jobs have to be asked for.
    **dict.fromkeys(modules("activations", "above", "causal_cell", "changes", "effects"), []),  # And these.
    **dict.fromkeys(modules("probes", "__init__", "splits", "tasks"), [*SCORES_ON, *AFTER["train_baselines"], *AUDITS]),
    **dict.fromkeys(
        modules("probes", "description", "estimators", "scores"), [*SCORES_ON, *AFTER["train_baselines"], *AUDITS]
    ),
    **dict.fromkeys(modules("probes", "fitting", "layers", "training"), SCORES_ON),
    "probes/nuisances": [*SCORES_ON, *AFTER["train_baselines"], *AUDITS],
    "probes/predictions": [*SCORES_ON, *AFTER["train_baselines"]],
    "probes/baselines": [*AFTER["train_baselines"], *AUDITS],
    "depth/__init__": [*AFTER["estimate_depth"], *AFTER["measure_drift"], "plot_accuracy", "plot_comparison__*"],
    **dict.fromkeys(modules("depth", "definitions", "above", "cells", "draws", "estimates"), AFTER["estimate_depth"]),
    **dict.fromkeys(modules("depth", "resampling", "uncertainty"), [*AFTER["estimate_depth"], *AFTER["measure_drift"]]),
    "depth/comparison": [*AFTER["compare_depths"], *AFTER["check_claims"]],
    "depth/drift": AFTER["measure_drift"],
    "depth/pairs": [*AFTER["measure_drift"], *AFTER["compare_depths"]],
    # As their rules.
    **dict.fromkeys(modules("depth", "coverage", "directions", "lens", "simulation", "transfer", "variance"), []),
    **dict.fromkeys(modules("depth", "causal", "changed_answers", "interventions"), []),
    **dict.fromkeys(modules("depth", "claims", "effects", "verdicts"), AFTER["check_claims"]),
    "depth/published": ["plot_accuracy", "plot_comparison__*", "check_claims", *PAGE],
    **dict.fromkeys(modules("figures", "__init__", "words"), ["plot_*", *PAGE]),
    **dict.fromkeys(modules("figures", "panels", "style"), ["plot_*", "audit_results"]),
    "figures/curves": ["plot_accuracy", "plot_comparison__*", "audit_results"],
    "figures/rows": ["plot_depths", "audit_results"],
    "figures/published": [],  # As its rules.
    **dict.fromkeys(modules("pages", "__init__", "explorer", "fitting", "html", "statements"), PAGE),
    **dict.fromkeys(
        modules("pages", "cautions", "findings", "finished", "latex", "listed", "names", "summary"), ["summarise_run"]
    ),
    # Not code of any job: what they decide reaches jobs as params.
    **dict.fromkeys(
        modules(
            "configuration",
            *(
                "__init__ assumptions causal causal_costs changes check costs local_data origins plain plan renderings schema sentences "
                "settings switches written"
            ).split(),
        ),
        [],
    ),
    **dict.fromkeys(modules("provenance", "memory", "places"), []),
    **dict.fromkeys(modules("depth", "quantities", "sample_size"), []),
    # What a notebook uses.
    **dict.fromkeys(
        modules(
            "interface",
            *(
                "__init__ bank cards cell choosing curves export extract extras folders forms opened probing readme results "
                "sound steering stored tables vectors"
            ).split(),
        ),
        [],
    ),
    # What a person types.
    "__main__": [],
    **dict.fromkeys(
        modules(
            "commands",
            *(
                "__init__ archive audit check_model config costs costs_table crate data ends export items jobs keys main options "
                "place report screen summary why"
            ).split(),
        ),
        [],
    ),
}


class Row(NamedTuple):
    """One change and the jobs that must run after it."""

    change: Callable[[Project], object]
    expected: set[str]
    arguments: tuple[str, ...] = ()


def append(file: str, text: str) -> Callable[[Project], object]:
    def change(project):
        with (project.folder / file).open("a") as stream:
            stream.write(text)

    return change


def replace(file: str, old: str, new: str) -> Callable[[Project], object]:
    def change(project):
        path = project.folder / file
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))

    return change


def setting(*path_and_value) -> Callable[[Project], object]:
    """Set a key of the overlay."""
    *path, key, value = path_and_value

    def change(config):
        for part in path:
            config = config.setdefault(part, {})
        config[key] = value

    return lambda project: project.overlay(change)


def all_of(*changes) -> Callable[[Project], object]:
    return lambda project: [change(project) for change in changes]


def nothing(project):
    pass


def touch_everything(project):
    """New time stamps, in an order that has nothing to do with the order of the jobs."""
    for number, path in enumerate(sorted(project.folder.rglob("*"))):
        if ".git" not in path.relative_to(project.folder).parts and path.is_file():
            os.utime(path, (2_000_000_000 - number, 2_000_000_000 - number))


def clone_and_copy_results(project):
    """A fresh clone beside results that were copied without their time stamps."""
    old = project.folder.rename(project.folder.with_name("old"))
    Project(old.parent, project.hub).git("clone", "--quiet", "old", project.folder.name)
    shutil.copytree(old / "results", project.folder / "results", copy_function=shutil.copyfile, symlinks=True)
    assert not (project.folder / ".snakemake").exists()


def switch_branch_and_back(project):
    project.git("checkout", "--quiet", "-b", "other")
    for file in (
        "Snakefile",
        "rules/probes.smk",
        "workflow_scripts/train_probes.py",
        f"{LIBRARY}/activations/store.py",
    ):
        append(file, "\n# Another line.\n")(project)
    append(f"{LIBRARY}/activations/extraction.py", "\nOTHER = 1\n")(project)
    setting("probes", "C", 0.5)(project)
    project.git("commit", "--quiet", "--all", "--message", "Change things")
    project.git("checkout", "--quiet", "main")


def new_layout(project):
    """Write all code as Python's own parser would: other quotes, other lines, no comments, other docstrings."""
    for path in (project.folder / "workflow_scripts").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                node.body[0].value.value = "Something else."
        path.write_text(f"# A comment.\n{ast.unparse(tree)}\n")


def same_size_and_time(file: str) -> Callable[[Project], object]:
    """Change the last byte but one, and leave size and time stamp as they were."""

    def change(project):
        path = project.folder / file
        stat = path.stat()
        content = bytearray(path.read_bytes())
        content[-2] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    return change


def profile(project):
    folder = project.folder / "site"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"jobs": 7, "resources": ["mem_mb=9000"], "latency-wait": 9}))


def with_run(**run) -> Callable[[Project], object]:
    return lambda project: project.overlay(lambda config: config["run"].update(run))


def among(**run) -> set[str]:
    """The jobs of another grid."""
    return jobs(GRID | run, sources=[name for name in (GRID | run)["datasets"] if name != "coins"])


def new_dataset(project):
    shutil.copy(project.folder / "data/claims.csv", project.folder / "data/more.csv")

    def change(config):
        config["datasets"]["more"] = config["datasets"]["claims"] | {"source": {"path": "data/more.csv"}}
        config["run"]["datasets"].append("more")

    project.overlay(change)


def new_model(project):
    def change(config):
        config["models"]["copy"] = config["models"]["tiny"]
        config["run"]["models"].append("copy")

    project.overlay(change)


PUBLISHED_NAMES = [("models", "tiny", "published", "Gemma-7B"), ("datasets", "coins", "published", "Coinflip")]


def new_chat(project):
    setting("perturbations", "chat", {"chat": True, "system": "judge .", "prefill": "true or false"})(project)
    with_run(perturbations=["clean", "noise", "chat"])(project)


def new_perturbation(project):
    setting("perturbations", "caps", {"prepend": ["ZZZ"], "seed": 1})(project)
    with_run(perturbations=["clean", "noise", "caps"])(project)


TABLES = [*AFTER_PROBES, "record_configuration"]
ONE_CELL = "tiny/fp32/coins.clean"
COINS = [
    "render_prompts/coins.*",
    "audit_data/coins",
    "collect_data_audit",
    "train_baselines/coins.*",
    "extract_activations/*/coins.*",
    INDEX,
    "train_probes/*/coins.*",
    "measure_drift/*/coins",
]
CLAIMS = [
    "prepare_dataset/claims",
    "audit_data/claims",
    "collect_data_audit",
    "render_prompts/claims.*",
    "*/claims.clean",
    "*/claims.noise",
    INDEX,
    "measure_drift/*/claims",
]
# Where statements are read in more than one way.
VARIED = ["measure_variance", "plot_positions"]
TRANSFER = [f"measure_transfer/{m}/{q}" for m in GRID["models"] for q in GRID["quantizations"]] + [
    "collect_transfer",
    "plot_transfer",
]
ANSWERED = [f"score_answers/{job.removeprefix('train_probes/')}" for job in jobs() if job.startswith("train_probes/")]
MORE = among(datasets=["coins", "claims", "more"])
FULL = "workflow_scripts"

ROWS = {
    # Nothing that matters.
    "nothing": Row(nothing, set()),
    "touch of every file": Row(touch_everything, set()),
    "fresh clone and copied results": Row(clone_and_copy_results, set()),
    "branch switch and back": Row(switch_branch_and_back, set()),
    "comments, docstrings and layout of all code": Row(new_layout, set()),
    "comments in rules and environments": Row(
        all_of(append("rules/probes.smk", "\n# Why.\n"), append("Snakefile", "# Why.\n"), append("envs/probes.yaml", "# Why.\n")),
        set(),
    ),
    "log level": Row(setting("execution", "log_level", "DEBUG"), set()),
    "threads": Row(all_of(setting("execution", "extraction_threads", 2), setting("execution", "probe_threads", 2)), set()),
    "batch size": Row(setting("execution", "batch_tokens", 64), set()),
    "compiled blocks": Row(setting("execution", "compile", True), set()),
    "limits of memory": Row(setting("execution", "max_memory", {"cpu": "1GiB"}), set()),
    "models not kept loaded": Row(setting("execution", "keep_model_loaded", False), set()),
    "scratch": Row(setting("execution", "scratch", "/tmp"), set()),
    "device": Row(setting("execution", "device", "cpu"), set()),
    "mirror": Row(setting("source_mirror", "data"), set()),
    "profile": Row(profile, set(), ("--profile", "site")),
    "verbosity": Row(nothing, set(), ("--verbose", "--printshellcmds")),
    "an unused registry entry": Row(setting("datasets", "cities", "max_per_class", 5), set()),
    "order of keys": Row(lambda project: project.overlay(lambda config: config.update(dict(reversed(config.items())))), set()),
    # Settings.
    "a model's revision": Row(
        setting("models", "cached", "source", "revision", REVISION[::-1]),
        reruns("fetch_model/cached", "extract_activations/cached/*", "index_activations/cached/*", "train_probes/cached/*", "measure_drift/cached/*", *TABLES),
    ),
    "a model's label": Row(setting("models", "tiny", "label", "Small"), reruns("plot_*", *PAGE, *SETTINGS)),
    "a dataset's template": Row(setting("datasets", "coins", "template", "prompt", "heads ?"), reruns(*COINS, *TABLES)),
    "the released code's instruction": Row(
        setting("prompts", "instruction", "released_code"), reruns(*AFTER["render_prompts"], *SETTINGS)
    ),
    "too long prompts are dropped": Row(
        setting("prompts", "too_long", "drop"),
        reruns("find_long_statements/*", *AFTER["render_prompts"], *SETTINGS, among=jobs(more=[f"find_long_statements/{name}" for name in GRID["datasets"]])),
    ),
    "a dataset's cap": Row(setting("datasets", "claims", "max_per_class", 4), reruns(*CLAIMS, *TABLES)),
    "a dataset's span": Row(setting("datasets", "claims", "columns", "span", "claim"), reruns(*CLAIMS, *TABLES)),
    "a dataset's class names": Row(
        lambda project: project.overlay(lambda config: config["datasets"]["coins"]["classes"][0].update(name="heads")),
        reruns("audit_data/coins", "collect_data_audit", *PAGE, *SETTINGS),
    ),
    "which labels make a class": Row(
        lambda project: project.overlay(lambda config: config["datasets"]["coins"]["classes"].reverse()),
        reruns("prepare_dataset/coins", *COINS, *TABLES),
    ),
    "texts that may be shown": Row(setting("datasets", "coins", "show_texts", True), reruns(*PAGE, *SETTINGS)),
    "a licence": Row(setting("datasets", "coins", "licence", "MIT"), reruns(*PAGE, *SETTINGS)),
    "an accepted licence": Row(setting("datasets", "claims", "accept_licence", True), reruns(*SETTINGS)),
    "a dataset's label": Row(setting("datasets", "coins", "label", "Pennies"), reruns("plot_*", *PAGE, *SETTINGS)),
    "published names": Row(
        all_of(*(setting(*name) for name in PUBLISHED_NAMES)),
        reruns("plot_accuracy", "compare_published", *PAGE, *SETTINGS, among=jobs(more=["compare_published"])),
    ),
    "a published name without its counterpart": Row(setting(*PUBLISHED_NAMES[0]), reruns(*SETTINGS)),
    "published numbers that nothing is compared with": Row(
        replace("resources/published/site_curves_7B.csv", "0.518559", "0.518558"), set()
    ),
    "a perturbation's seed": Row(
        setting("perturbations", "noise", "seed", 9),
        reruns("render_prompts/*.noise", *AUDITS, "train_baselines/*.noise", "extract_activations/*.noise", INDEX, "train_probes/*.noise", *DRIFT, *TABLES),
    ),
    "a wording for all datasets": Row(
        setting("perturbations", "noise", "template", {"prompt": "true or false ?"}),
        reruns("render_prompts/*.noise", *AUDITS, "train_baselines/*.noise", "extract_activations/*.noise", INDEX, "train_probes/*.noise", *DRIFT, *TABLES, *VARIED, among=jobs(more=VARIED)),
    ),
    "a wording for one dataset": Row(
        setting("perturbations", "noise", "templates", {"coins": {"prompt": "heads or up ?"}}),
        reruns("render_prompts/coins.noise", "audit_data/coins", AUDITS[1], "train_baselines/coins.noise", "extract_activations/*/coins.noise", INDEX, "train_probes/*/coins.noise", "measure_drift/*/coins", *TABLES, *VARIED, among=jobs(more=VARIED)),
    ),
    "a wording for a dataset that is not run": Row(
        setting("perturbations", "noise", "templates", {"cities": {"prompt": "true or false ?"}}), reruns(*PAGE, *SETTINGS, *VARIED, among=jobs(more=VARIED))
    ),
    "a seed that draws nothing": Row(setting("perturbations", "clean", "seed", 9), reruns(*SETTINGS)),
    "texts as a chat": Row(
        setting("perturbations", "noise", "chat", True),
        reruns("extract_activations/*.noise", INDEX, "train_probes/*.noise", *DRIFT, *TABLES, *VARIED, among=jobs(more=VARIED)),
    ),
    "no chat": Row(setting("perturbations", "noise", "chat", False), reruns(*SETTINGS)),
    "sites": Row(setting("activations", "sites", ["residual"]), reruns(*FROM_EXTRACTION, *SETTINGS)),
    "several sites": Row(
        setting("activations", "sites", ["mlp_input", "residual"]),
        reruns(*FROM_EXTRACTION, *SETTINGS, *VARIED, among=jobs(more=VARIED)),
    ),
    "tokens of an int8 pass": Row(
        setting("activations", "fixed_batch_tokens", "int8", 64),
        reruns("extract_activations/*/int8/*", "index_activations/*/int8", "train_probes/*/int8/*", *DRIFT, *TABLES),
    ),
    "a split": Row(
        setting("probes", "test_share", 0.5), reruns(*SCORES_ON, *AFTER["train_baselines"], *AUDITS, *SETTINGS)
    ),
    "a probe setting": Row(setting("probes", "C", 0.5), reruns(*SCORES_ON, *SETTINGS)),
    "draws of intervals": Row(setting("intervals", "draws", 9), reruns(*DEPTHS, *DRIFT, "plot_depths", *SETTINGS)),
    "permutations of labels": Row(setting("intervals", "permutations", 9), reruns(*DEPTHS, "plot_depths", *PAGE, *SETTINGS)),
    "an outlier's size": Row(setting("drift", "outlier", 3.0), reruns(*DRIFT, *SETTINGS)),
    "no drift": Row(
        setting("drift", "measured", False), reruns(*PAGE, *SETTINGS)
    ),
    "a rerun": Row(
        setting("drift", "rerun", True),
        reruns("*/rerun/*", "index_activations/*/rerun", *DRIFT, *TABLES, among=among(quantizations=["fp32", "rerun", "int8"])),
    ),
    "a simulation": Row(
        setting("simulation", "repetitions", 2),
        reruns("simulate_coverage", *PAGE, *SETTINGS, among=jobs(more=["simulate_coverage"])),
    ),
    "transfer": Row(
        setting("transfer", "measured", True),
        reruns(*TRANSFER, "audit_results", "record_configuration", among=jobs(more=TRANSFER)),
    ),
    "layers of transfer that nobody asked for": Row(setting("transfer", "layers", 3), reruns(*SETTINGS)),
    "a claim less": Row(setting("claims", "peak_rises_with_size", None), reruns("check_claims", *PAGE, *SETTINGS)),
    "a baseline less": Row(
        setting("controls", "baselines", ["bag_of_words"]), reruns(*AFTER["train_baselines"], "record_configuration")
    ),
    "the embedding": Row(
        setting("controls", "embedding_layer", True), reruns(*AFTER["train_probes"], "record_configuration")
    ),
    "random weights": Row(
        setting("controls", "random_weights", True),
        reruns("*/random/*", "index_activations/*/random", *AFTER_SCORES, "record_configuration", among=among(quantizations=["fp32", "int8", "random"])),
    ),
    "a limit of the data audit": Row(setting("data_audit", "limits", "bag_of_words", 0.9), reruns(*AUDITS, *SETTINGS)),
    "a control": Row(setting("controls", "targets", ["shuffled_labels"]), reruns(*SCORES_ON, "record_configuration")),
    "confounds taken out": Row(
        setting("controls", "partial_out", ["length", "words"]),
        reruns(*SCORES_ON, "estimate_partial_depth", "record_configuration", among=jobs(more=["estimate_partial_depth"])),
    ),
    "the model's own confidence taken out": Row(
        setting("controls", "partial_out", ["confidence"]),
        reruns(*SCORES_ON, *ANSWERED, "estimate_partial_depth", "record_configuration", among=jobs(more=[*ANSWERED, "estimate_partial_depth"])),
    ),
    "a depth setting": Row(setting("depth", "jump_ratio", 1.2), reruns(*DEPTHS, "plot_depths", *PAGE, *SETTINGS)),
    "a figure's resolution": Row(setting("figures", "dots_per_inch", 70), reruns("plot_*", *SETTINGS)),
    "a figure's colour": Row(replace(f"{LIBRARY}/figures/style.py", "#0072B2", "#0072B3"), reruns("plot_*", "audit_results")),
    "a page's look": Row(append("resources/explorer/style.css", "b { color: red }\n"), reruns(*PAGE)),
    "settings after a fresh clone and copied results": Row(
        all_of(clone_and_copy_results, setting("probes", "C", 0.5)), reruns(*SCORES_ON, *SETTINGS)
    ),
    # The grid.
    "a dataset more": Row(
        new_dataset,
        reruns("fetch_source/more/*", "*/more", "*/more.clean", "*/more.noise", "collect_data_audit", INDEX, *TABLES, among=MORE),
    ),
    "a model more": Row(
        new_model,
        reruns("fetch_model/copy", "*/copy/*", *TABLES, among=among(models=["tiny", "cached", "copy"])),
    ),
    "a quantization more": Row(
        with_run(quantizations=["fp32", "int8", "nf4"]),
        reruns("*/nf4/*", "index_activations/*/nf4", *DRIFT, *TABLES, among=among(quantizations=["fp32", "int8", "nf4"])),
    ),
    "a perturbation more": Row(
        new_perturbation,
        reruns("*.caps", *AUDITS, INDEX, *DRIFT, *TABLES, among=among(perturbations=["clean", "noise", "caps"])),
    ),
    "a chat more": Row(
        new_chat,
        reruns("*.chat", *AUDITS, INDEX, *DRIFT, *TABLES, *VARIED, among=among(perturbations=["clean", "noise", "chat"]) | {*VARIED}),
    ),
    "a dataset less": Row(with_run(datasets=["coins"]), reruns(INDEX, "collect_data_audit", *TABLES)),
    "a model less": Row(with_run(models=["tiny"]), reruns(*TABLES)),
    "a quantization less": Row(
        with_run(quantizations=["fp32"]), reruns(*DRIFT, *TABLES, among=among(quantizations=["fp32"]))
    ),
    "a perturbation less": Row(
        with_run(perturbations=["noise"]), reruns(*AUDITS, INDEX, *DRIFT, *TABLES, among=among(perturbations=["noise"]))
    ),
    # Bytes.
    "source bytes, at the same size and time": Row(
        same_size_and_time("data/claims.csv"), reruns("fetch_source/*", *CLAIMS, *AFTER_PROBES)
    ),
    "weights, at the same size and time": Row(
        same_size_and_time("data/tiny/model.safetensors"),
        reruns("fetch_model/tiny", "extract_activations/tiny/*", "index_activations/tiny/*", "train_probes/tiny/*", "measure_drift/tiny/*", *AFTER_PROBES),
    ),
    "an edited prompt file": Row(
        replace("results/prompts/coins.clean.jsonl", "heads", "tails"),
        reruns("audit_data/coins", "collect_data_audit", "train_baselines/coins.clean", "*/tiny/*/coins.clean", "*/cached/*/coins.clean", INDEX, "measure_drift/*/coins", *AFTER_PROBES),
    ),
    "a deleted activation file": Row(
        lambda project: (project.folder / f"results/activations/{ONE_CELL}.h5").unlink(),
        reruns(f"extract_activations/{ONE_CELL}", "index_activations/tiny/fp32", f"train_probes/{ONE_CELL}", "measure_drift/tiny/coins", *AFTER_PROBES),
    ),
    "a deleted record": Row(
        lambda project: (project.folder / f"results/provenance/train_probes/{ONE_CELL}.json").unlink(),
        reruns(f"train_probes/{ONE_CELL}", "measure_drift/tiny/coins", *AFTER_PROBES),
    ),
    "a deleted source": Row(lambda project: shutil.rmtree(project.folder / "results/sources"), set()),
    # Software.
    "a library version": Row(
        replace("envs/probes.yaml", "scikit-learn==1.9.1", "scikit-learn==1.9.2"),
        reruns(*SCORES_ON, *AFTER["train_baselines"]),
    ),
    "a library version of the page": Row(
        replace("envs/explorer.yaml", "jinja2==3.1.6", "jinja2==3.1.7"), reruns(*PAGE)
    ),
    "a library version of the figures": Row(
        replace("envs/figures.yaml", "matplotlib==3.11.2", "matplotlib==3.11.3"),
        reruns("plot_*", "audit_results"),
    ),
    # Code.
    **{
        f"code of {rule}": Row(append(f"workflow_scripts/{rule}.py", "\nEXTRA = 1\n"), reruns(*after))
        for rule, after in AFTER.items()
    },
}  # fmt: skip


CODE = {
    module: Row(append(f"{LIBRARY}/{module}.py", "\nEXTRA = 1\n"), reruns(*after)) for module, after in MODULES.items()
}
"""Rows of the modules, by module."""

PLANNED = [
    "ground/names",
    "provenance/kept",
    "datasets/sources",
    "models/__init__",
    "activations/answers",
    "probes/baselines",
    "depth/published",
    "figures/style",
    "pages/findings",
]
"""A module of each room that is edited in every run of the tests; all of them are by `make test-long`."""


def plan(project: Project, row: Row) -> set[str] | str:
    """Make the change and return the jobs of a dry run, or what it said when it failed."""
    row.change(project)
    result = project.dry_run(*row.arguments)
    if result.returncode != 0:
        return result.stdout + result.stderr
    outputs = re.findall(r"^ +output: (.*)$", result.stdout + result.stderr, re.MULTILINE)
    return set(re.findall(r"results/provenance/(\S+)\.json", " ".join(outputs)))


# A run that takes minutes stands before the many that take seconds, so that no worker ends with it.
@pytest.mark.parametrize(
    ("grid", "more"),
    [({"models": ["tiny"], "perturbations": ["clean"]}, AUDITS), pytest.param(GRID, (), marks=pytest.mark.long)],
    ids=["a part", "all"],
)
def test_a_run_after_two_changes_makes_everything_once_and_then_nothing(finished, tmp_path, grid, more):
    project = finished.copy(tmp_path / "project")
    changes = [with_run(**grid), setting("activations", "sites", ["residual"]), setting("probes", "C", 0.5)]
    planned = plan(project, Row(all_of(*changes), set()))
    assert project.snakemake("--quiet", "all").returncode == 0
    assert planned == reruns(*FROM_EXTRACTION, *more, *SETTINGS, among=among(**grid))
    earlier = set() if grid == GRID else {f"results/figures/perturbations.{kind}" for kind in ("svg", "png")}
    readme = (project.folder / "results/README.md").read_text()
    assert set(re.findall(r"^- (results/\S+)$", readme.partition(f"## {EARLIER}")[2], re.MULTILINE)) == earlier
    assert plan(project, Row(nothing, set())) == set()


@pytest.mark.parametrize("name", ROWS)
def test_exactly(finished, tmp_path, name):
    assert plan(finished.copy(tmp_path / "project"), ROWS[name]) == ROWS[name].expected


@pytest.mark.parametrize("module", CODE)
def test_a_module_makes_stale_what_the_scripts_behind_which_it_stands_do(module):
    """A digest changes with each file behind a script (test_digest.py); what then runs is in the rows of the rules."""
    file = Path(__file__).parents[2] / LIBRARY / f"{module}.py"
    behind = [rule for rule in AFTER if file in code_files(script_of(rule))]
    assert CODE[module].expected == set().union(*(reruns(*AFTER[rule]) for rule in behind))


@pytest.mark.parametrize(
    "module", [pytest.param(module, marks=[] if module in PLANNED else pytest.mark.long) for module in CODE]
)
def test_exactly_after_an_edit_in_a_module(finished, tmp_path, module):
    assert plan(finished.copy(tmp_path / "project"), CODE[module]) == CODE[module].expected


@pytest.mark.parametrize("name", ["nothing", "profile", "fresh clone and copied results", "a model more", "a split"])
def test_a_dry_run_without_imports_says_what_a_whole_one_says(finished, tmp_path, name):
    """But for the time of day, and the order of jobs and reasons that have none: rows are planned in such processes."""
    project, row = finished.copy(tmp_path / "project"), ROWS[name]
    row.change(project)
    said = []
    for result in (project.dry_run(*row.arguments), project.snakemake("--dry-run", *row.arguments)):
        words = re.split(r"[\s,;]+", re.sub(r"^\[.*\]$", "[now]", result.stdout, flags=re.MULTILINE))
        said.append((result.returncode, sorted(words), result.stderr))
    assert said[0] == said[1]
    assert said[0][0] == 0


def test_the_table_has_every_module_and_every_script():
    root = Path(__file__).parents[2]
    library = root / LIBRARY
    assert {path.relative_to(library).with_suffix("").as_posix() for path in library.rglob("*.py")} == MODULES.keys()
    rules = re.findall(r"^rule (\w+):", "".join(p.read_text() for p in (root / "rules").glob("*.smk")), re.MULTILINE)
    assert {rule.partition("__")[0] for rule in rules} - {
        "show_prompts",
        "published",
        "answers",
        "ablation",
        "transfer",
        "causal",
    } == AFTER.keys()


def test_every_rule_with_outputs_tracks_its_code_and_its_software():
    for path in (Path(__file__).parents[2] / "rules").glob("*.smk"):
        parts = re.split(r"^(rule|use rule \w+ as) ", path.read_text(), flags=re.MULTILINE)
        for kind, rule in zip(parts[1::2], parts[2::2]):
            name = re.match(r"\w+", rule).group()
            if "    output:" in rule:
                assert f"results/provenance/{name}" in rule
            if "    output:" in rule and kind == "rule":  # Those that use another one: the next test.
                assert f'code=code_digest("{script_of(name)}")' in rule
                assert f'software=pins("{path.stem}")' in rule
                assert f"workflow_scripts/{script_of(name)}" in rule


def test_a_rule_that_uses_another_one_has_its_script_and_tracks_its_code():
    text = "".join(path.read_text() for path in (Path(__file__).parents[2] / "rules").glob("*.smk"))
    used = re.findall(r"^use rule (\w+) as (\w+) with:", text, re.MULTILINE)
    assert used
    for base, name in used:
        body = re.split(rf"^use rule {base} as {name} with:", text, flags=re.MULTILINE)[1]
        body = re.split(r"^(?:use )?rule ", body, flags=re.MULTILINE)[0]
        assert script_of(base) == script_of(name)
        assert "code=" not in body
        assert "software=" not in body


def test_a_job_that_failed_is_planned_again(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    replace("workflow_scripts/collect_scores.py", "if __name__", "1 / 0\nif __name__")(project)
    assert project.snakemake("--quiet", "all").returncode != 0
    assert plan(project, Row(nothing, set())) == reruns(*AFTER["collect_scores"])
    project.git("checkout", "--quiet", ".")
    assert plan(project, Row(nothing, set())) == reruns(*AFTER["collect_scores"])
