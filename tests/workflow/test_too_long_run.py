"""Texts that are too long for one of two models: left out of all cells and told, or refused with a sentence."""

import json
import re

import h5py
import pandas as pd
import pytest
from conceptdepth.datasets.rows import read_prompts, read_statements
from project import make_project
from test_ablation_run import under
from test_reruns import Row, all_of, nothing, plan, setting, with_run
from tiny_model import save_tiny_model

CELLS = [f"{model}/fp32/claims.{perturbation}" for model in ("tiny", "narrow") for perturbation in ("clean", "noise")]
TARGETS = [*(f"results/activations/{cell}.h5" for cell in CELLS), "results/tables/data_audit.csv"]
LONG = {"long-true": 30, "long-false": 20, "longer-true": 19}
"""Words of the statements that are too long for `narrow`: the template has 7 more, the cue for answers 2."""
FITS = {"fits-true": 18, "fits-false": 18, "longer-false": 10}
"""Those of others; the first two have as many tokens as `narrow` takes."""
SAID = "3 of 16 statements are left out as too long for narrow (at most 27 tokens): 2 of class 0 and 1 of class 1"

drop = setting("prompts", "too_long", "drop")


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """A project with two models, of which one takes 27 tokens and the other 128, and what its run says, and how it ended."""
    project = make_project(tmp_path_factory.mktemp("long") / "project")
    save_tiny_model(project.folder / "data/narrow", most_tokens=27)
    with (project.folder / "data/claims.csv").open("a", newline="") as stream:
        for name, words in (LONG | FITS).items():
            city, label = name.split("-")
            stream.write(f"{name},{' '.join([city] * words)},{int(label == 'true')},{city}\n")

    def narrow(config):
        config["models"]["narrow"] = config["models"]["tiny"] | {"source": {"path": "data/narrow"}}
        config["execution"] = {"extraction_threads": 2}  # Both cores: one job with a model at a time.

    project.overlay(narrow)
    with_run(models=["tiny", "narrow"], quantizations=["fp32"], datasets=["claims"])(project)
    result = project.snakemake("--keep-going", *TARGETS)
    return project, result.returncode, result.stdout + result.stderr


@pytest.fixture(scope="module")
def dropped(refused, tmp_path_factory):
    """The same project after a run that leaves such statements out. Tests must leave it as it is."""
    project = refused[0].copy(tmp_path_factory.mktemp("dropped") / "project")
    drop(project)
    result = project.snakemake(*TARGETS)
    assert result.returncode == 0, result.stderr
    return project


def table(project):
    """Return the findings of the data audit, by their names."""
    return pd.read_csv(project.folder / "results/tables/data_audit.csv", index_col="check")


def test_what_is_too_long_is_refused_unless_a_run_says_otherwise(refused):
    project, returncode, said = refused
    assert returncode == 1
    assert re.search(
        r"Error: a prompt has 37 tokens, but narrow takes at most 27; lower the dataset's `max_words`, or set "
        r"`prompts.too_long: drop`\.",
        said,
    )
    assert "Traceback" not in said
    made = {path: (project.folder / path).exists() for path in TARGETS}
    assert [path for path in TARGETS if not made[path]] == [path for path in TARGETS if "narrow" in path]
    assert "dropped_too_long" not in table(project).index
    assert not list((project.folder / "results").rglob("*too_long*"))


def test_every_cell_has_the_same_statements_and_none_that_is_too_long_for_one(dropped):
    every = [row["id"] for row in read_statements(dropped.folder / "results/datasets/claims.jsonl")]
    assert LONG.keys() < set(every)
    for cell in CELLS:
        with h5py.File(dropped.folder / f"results/activations/{cell}.h5") as file:
            assert file["id"].asstr()[:].tolist() == [name for name in every if name not in LONG]


def test_which_they_are_stands_in_a_table_with_their_tokens(dropped):
    rows = pd.read_csv(dropped.folder / "results/datasets/claims.too_long.csv")
    expected = [
        (name, "narrow", perturbation, words + 7 + 2, 27)
        for name, words in LONG.items()
        for perturbation in ("clean", "noise")
    ]
    assert list(rows.itertuples(index=False, name=None)) == expected


def test_how_many_they_are_stands_in_logs_and_data_audit(dropped):
    logs = dropped.folder / "results/logs"
    for log in ("find_long_statements/claims", "render_prompts/claims.clean", "render_prompts/claims.noise"):
        assert SAID in (logs / f"{log}.log").read_text()
    finding = table(dropped).loc["dropped_too_long"]
    assert finding["value"] == pytest.approx(3 / 16)
    assert (finding["limit"], finding["verdict"]) == (0, "warning")
    assert finding["finding"] == SAID.replace("narrow (at most 27 tokens)", "a model")
    assert table(dropped).loc["first_rows", "finding"] == "no cap leaves statements out"
    assert finding["finding"] in (logs / "audit_data/claims.log").read_text()


def test_records_lead_from_prompts_to_the_models_that_counted(dropped):
    record = json.loads((dropped.folder / "results/provenance/render_prompts/claims.clean.json").read_text())
    assert "results/datasets/claims.too_long.csv" in {entry["path"] for entry in record["inputs"]}
    result = dropped.conceptdepth("audit", "results/prompts/claims.clean.jsonl")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"find_long_statements\W+1 job", result.stdout)
    assert re.search(r"fetch_model\W+2 jobs", result.stdout)


def test_only_what_is_stale_is_counted_again(dropped, tmp_path):
    prompts = {f"render_prompts/claims.{perturbation}" for perturbation in ("clean", "noise")}
    late = {f"extract_activations/{cell}" for cell in CELLS} | {"audit_data/claims", "collect_data_audit"}
    everything = {"find_long_statements/claims", *prompts, *late}

    def planned(name, change, targets=TARGETS):
        return plan(dropped.copy(tmp_path / name), Row(change, set(), tuple(targets)))

    assert planned("nothing", nothing) == set()
    assert planned("cue", setting("answers", "cue", "?")) == everything
    assert planned("noise", setting("perturbations", "noise", "seed", 9)) == everything
    one = planned("fewer models", with_run(models=["tiny"]), [path for path in TARGETS if "narrow" not in path])
    assert one == {job for job in everything if "narrow" not in job}
    assert planned("batch", setting("execution", "batch_tokens", 64)) == set()
    assert planned("refuse", setting("prompts", "too_long", "refuse")) == {*prompts, *late}


def test_under_a_switch_its_own_prompts_are_counted(dropped, tmp_path):
    switches = {
        "emotion": {"prompts": {"instruction": "released_code"}},
        "refused": {"prompts": {"too_long": "refuse"}},
        "pairs": {"probes": {"split": "reference"}},
    }
    change = all_of(
        with_run(models=["tiny"], perturbations=["clean"]),
        setting("ablation", {"run": list(switches), "switches": switches}),
    )
    project = dropped.copy(tmp_path / "project")
    planned = plan(project, Row(change, set(), ("ablation",)))
    assert {job for job in planned if re.match("(find_long_statements|render_prompts)__", job)} == {
        *under("find_long_statements", "emotion", "claims"),
        *(job for switch in ("emotion", "refused", "all") for job in under("render_prompts", switch, "claims.clean")),
    }  # `all` refuses, too.
    path = "results/ablation/emotion/prompts/claims.clean.jsonl"
    result = project.snakemake(path)
    assert result.returncode == 0, result.stderr
    # Counted for this run's model alone, which takes all of them.
    assert {row["id"] for row in read_prompts(project.folder / path)} > LONG.keys()
