"""Every switch alone: asked for, `snakemake ablation` makes its table and figure from what each switch touches."""

import re

import pandas as pd
import pytest
from test_reruns import Row, all_of, nothing, plan, setting, with_run

SWITCHES = {
    "emotion": {"prompts": {"instruction": "released_code"}},
    "pairs": {"probes": {"split": "reference"}},
    "fewer": {"datasets": {"claims": {"max_per_class": 4}}},
}
CELLS = ["tiny/fp32/coins.clean", "tiny/fp32/claims.clean"]

change = all_of(
    with_run(models=["tiny"], quantizations=["fp32"], perturbations=["clean"]),
    setting("ablation", {"run": list(SWITCHES), "switches": SWITCHES}),
)


def under(rule: str, switch: str, *names: str) -> set[str]:
    return {f"{rule}__ablated/{switch}/{name}" for name in names}


ABLATED = {
    *under("prepare_dataset", "fewer", "claims"),
    *under("prepare_dataset", "all", "claims"),
    *under("render_prompts", "emotion", "coins.clean", "claims.clean"),
    *under("render_prompts", "fewer", "claims.clean"),
    *under("render_prompts", "all", "coins.clean", "claims.clean"),
    *under("extract_activations", "emotion", *CELLS),
    *under("extract_activations", "fewer", CELLS[1]),
    *under("extract_activations", "all", *CELLS),
    *under("train_probes", "emotion", *CELLS),
    *under("train_probes", "pairs", *CELLS),
    *under("train_probes", "fewer", CELLS[1]),
    *under("train_probes", "all", *CELLS),
}
AFTER = {"tabulate_ablation", "plot_ablation"}


@pytest.fixture(scope="module")
def ablated(finished, tmp_path_factory):
    """The finished project after `snakemake ablation`. Tests must leave it as it is."""
    project = finished.copy(tmp_path_factory.mktemp("ablated") / "project")
    assert plan(project, Row(change, set(), ("ablation",))) == {*ABLATED, *AFTER}
    result = project.snakemake("ablation")
    assert result.returncode == 0, result.stderr
    return project


def test_each_cell_is_compared_under_each_switch_that_touches_it(ablated):
    table = pd.read_csv(ablated.folder / "results/tables/ablation.csv")
    assert {name: rows["switch"].tolist() for name, rows in table.groupby("dataset")} == {
        "coins": ["none", "emotion", "pairs", "all"],
        "claims": ["none", "emotion", "pairs", "fewer", "all"],
    }
    claims = table[table["dataset"] == "claims"].set_index("switch")
    assert not list((ablated.folder / "results/ablation").rglob("*.kept*"))
    total = claims["n_train"] + claims["n_test"]
    assert total.to_dict() == {"none": 10, "emotion": 10, "pairs": 10, "fewer": 8, "all": 8}


def test_a_switch_alone_gives_what_a_run_with_it_gives(ablated, tmp_path):
    project = ablated.copy(tmp_path / "project")
    setting("probes", "split", "reference")(project)
    setting("prompts", "instruction", "released_code")(project)
    setting("datasets", "claims", "max_per_class", 4)(project)
    cell = f"{CELLS[1]}.csv"
    assert project.snakemake(f"results/probes/{cell}").returncode == 0
    expected = pd.read_csv(project.folder / "results/probes" / cell)
    found = pd.read_csv(ablated.folder / "results/ablation/all/probes" / cell)
    pd.testing.assert_frame_equal(found.drop(columns="switch"), expected)


def test_afterwards_nothing_is_stale_and_a_change_of_a_switch_runs_its_own_jobs(ablated, tmp_path):
    project = ablated.copy(tmp_path / "project")
    assert plan(project, Row(nothing, set(), ("ablation",))) == set()
    other = setting("ablation", "switches", "pairs", {"probes": {"split": "reference", "C": 0.5}})
    assert plan(project, Row(other, set(), ("ablation",))) == {
        *under("train_probes", "pairs", *CELLS), *under("train_probes", "all", *CELLS), *AFTER,
    }  # fmt: skip


def test_the_figure_can_be_audited_and_its_chain_names_the_jobs_under_switches(ablated):
    result = ablated.conceptdepth("audit", "results/figures/ablation.png")
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert re.search(r"train_probes__ablated\W+7 jobs", said)
    assert "intact" in said
