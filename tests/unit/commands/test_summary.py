"""The summary of a run counts the probes that converged, and the curves of which most did not."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from conceptdepth.commands.summary import CONFIGURATION, TABLE, converged, no_chats
from conceptdepth.ground.errors import UserError


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
