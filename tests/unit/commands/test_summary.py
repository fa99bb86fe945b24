"""The end of a run: the explorer first, the five lines of its README, probes that converged, where the rest is."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from conceptdepth.commands.summary import (
    CONFIGURATION,
    EXPLORER,
    README,
    TABLE,
    converged,
    earlier,
    found,
    no_chats,
    summary,
)
from conceptdepth.ground.errors import UserError
from conceptdepth.pages.names import escaped
from project import MARKUP
from run_records import OLD, OWN, SCORES, Results


@pytest.mark.parametrize(
    ("shares", "line"),
    [
        ([1.0, 1.0], "Probes   120, all converged"),
        ([1.0, 29 / 30], "Probes   119 of 120 converged; most did not in 0 of 2 curves"),
        ([0.0, 14 / 30], "Probes   14 of 120 converged; most did not in 2 of 2 curves"),
    ],
)
def test_the_line_counts_probes_and_curves(tmp_path, shares, line):
    table = pd.DataFrame({"n_layers": [30, 30], "n_seeds": [3, 1], "converged": shares})
    table["mostly_converged"] = table["converged"] >= 0.5
    Path(tmp_path, TABLE).parent.mkdir(parents=True)
    table.to_csv(tmp_path / TABLE, index=False)
    assert converged(tmp_path).removesuffix(f" ({TABLE})") == line


def test_a_damaged_table_is_a_sentence(tmp_path):
    Path(tmp_path, TABLE).parent.mkdir(parents=True)
    (tmp_path / TABLE).write_text("n_layers;n_seeds\n30;3\n")
    with pytest.raises(UserError, match="concept_depth.csv is damaged"):
        converged(tmp_path)


@pytest.fixture
def run(tmp_path):
    """A function that makes what a finished run leaves of its configuration and its models, and gives the folder."""

    def make(perturbations, models):
        selected = {"perturbations": list(perturbations), "models": list(models)}
        (tmp_path / CONFIGURATION).parent.mkdir(parents=True)
        (tmp_path / CONFIGURATION).write_text(yaml.safe_dump({"run": selected, "perturbations": perturbations}))
        for name, content in models.items():
            description = tmp_path / f"results/models/{name}/model.json"
            description.parent.mkdir(parents=True)
            description.write_text(content)
        return tmp_path

    return make


MODELS = {
    "tuned": '{"chat_template": true}',
    "base": '{"chat_template": false}',
    "other": '{"chat_template": true}',
    "old": "{}",
    "damaged": "{",
}


def test_models_with_a_chat_template_that_read_plain_text_are_named(run):
    assert list(no_chats(run({"clean": {}, "noise": {"prepend": ["a"], "chat": False}}, MODELS))) == [
        "Chat     no chat template was used, though there is one of tuned, other (docs/renderings.md)"
    ]


@pytest.mark.parametrize(
    ("perturbations", "models"),
    [({"clean": {}, "chat": {"chat": True}}, MODELS), ({"clean": {}}, {"base": MODELS["base"], "old": "{}"})],
    ids=["a chat", "no template"],
)
def test_where_there_is_nothing_to_say_of_chats_nothing_is_said(run, perturbations, models):
    assert list(no_chats(run(perturbations, models))) == []


def test_a_damaged_configuration_is_a_sentence(run):
    folder = run({"clean": {}}, MODELS)
    (folder / CONFIGURATION).write_text("run: {}")
    with pytest.raises(UserError, match="configuration.yaml is damaged"):
        list(no_chats(folder))


LINES = {
    "Run": "SmolLM2 on Cities",
    "Found": f"1 of 1 {MARKUP}",
    "Claims": "none",
    "Beware": "of *this*",
    "Audit": "intact",
}


@pytest.fixture
def finished(run):
    """The folder of a finished run."""
    folder = run({"clean": {}}, {"base": MODELS["base"]})
    results = Results(folder)
    results.record("collect_scores", [SCORES])
    results.record("plot_accuracy", [OWN], ["collect_scores"])
    results.record(
        "audit_results",
        ["results/audit.html"],
        ["plot_accuracy", "collect_scores"],
        [OWN, SCORES, TABLE, CONFIGURATION],
    )
    table = pd.DataFrame({"n_layers": [30], "n_seeds": [3], "converged": [1.0], "mostly_converged": [True]})
    table.to_csv(folder / TABLE, index=False)
    lines = "".join(f"- **{name}** {escaped(line)}\n" for name, line in LINES.items())
    (folder / README).write_text(f"# Title\n\n{lines}\n## More\n\n- **Other** text\n")
    return folder


def test_the_explorer_comes_first_if_there_is_one(finished):
    assert "Explorer" not in "".join(summary(finished))
    (finished / EXPLORER).touch()
    first, *_ = summary(finished)
    assert first == f"Explorer {finished / EXPLORER}   (open it in a browser)"


def test_the_five_lines_of_the_readme_are_printed_as_plain_text(finished):
    assert list(found(finished)) == [f"{name:<8} {line}" for name, line in LINES.items()]
    (finished / README).unlink()
    assert list(found(finished)) == []


def test_lines_are_few_and_their_texts_begin_in_one_column(finished):
    (finished / EXPLORER).touch()
    lines = list(summary(finished))
    assert len(lines) <= 12
    assert all(line[8] == " " and line[9] != " " for line in lines)
    assert len({line[:8] for line in lines}) == len(lines)


def test_what_an_earlier_run_left_is_named(finished):
    assert list(earlier(finished)) == []
    for name in (OLD, "results/figures/b.png", "results/tables/c.csv"):
        (finished / name).touch()
    assert list(earlier(finished)) == [
        "Earlier  b.png, perturbations.png and others: of an earlier run, not made anew (listed in results/README.md)"
    ]


def test_a_damaged_readme_is_a_sentence(finished):
    (finished / README).write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"README.md is damaged"):
        list(found(finished))
