"""config/positions.yaml end to end on the tiny model: every position in every rendering, and what is made of them."""

import itertools
import sys

import pandas as pd
import pytest
import yaml
from conceptdepth.ground.names import CURVE

POSITIONS = ["last", "text_last", "text_mean", "prompt_mean", "span_last", "span_mean"]
RENDERINGS = ["clean", "reworded", "text_first", "chat"]


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    project = finished.copy(tmp_path_factory.mktemp("positions") / "project")
    project.overlay(lambda config: config["datasets"]["claims"]["columns"].update(span="city"))
    words = {"coins": {"prompt": "heads or up ?"}, "claims": {"prompt": "is it so ?"}}
    own = {"run": {"models": ["tiny"]}, "perturbations": {"reworded": {"templates": words}}, "probes": {"seeds": [1]}}
    (project.folder / "own.yaml").write_text(yaml.safe_dump(own))
    result = snakemake(project)
    assert result.returncode == 0, result.stderr
    return project


def snakemake(project, *options):
    # The preset selects renderings and a weight format; models and datasets are those of the overlay before it.
    overlays = ["--configfile", "overlay.yaml", "config/positions.yaml", "own.yaml"]
    return project.run(sys.executable, "-m", "snakemake", *options, "--cores", "2", *overlays)


@pytest.fixture(scope="module")
def depths(run):
    return pd.read_csv(run.folder / "results/tables/concept_depth.csv")


def test_every_position_in_every_rendering_has_a_curve(depths):
    expected = set(itertools.product(["coins", "claims"], RENDERINGS, POSITIONS))
    assert set(depths[["dataset", "perturbation", "position"]].itertuples(index=False, name=None)) == expected
    assert len(depths) == len(expected)


def test_positions_of_one_token_are_named_as_such(depths):
    """Where the text ends the prompt; a span of one word has one token."""
    same = depths.set_index(["dataset", "perturbation", "position"])["same_tokens_as"]
    assert same["claims", "clean", "text_last"] == "last"
    assert same["claims", "text_first", "text_last"] == same["claims", "chat", "text_last"] == "text_last"
    assert same["claims", "clean", "span_mean"] == "span_last"
    assert same["coins", "clean", "span_mean"] == "span_mean"
    values = depths.set_index(list(CURVE)).drop(columns="same_tokens_as")
    for names, row in values.iterrows():
        first = dict(zip(CURVE, names)) | {"position": same[names[2], names[3], names[5]]}
        pd.testing.assert_series_equal(row, values.loc[tuple(first.values())], check_names=False)


def test_tables_say_how_much_position_and_wording_matter(run):
    table = pd.read_csv(run.folder / "results/tables/depth_variance.csv")
    of_peaks = table[table["quantity"] == "peak_accuracy"].set_index(["dataset", "factor"])
    assert of_peaks.loc[("claims", "position"), "levels"] == 6
    assert of_peaks.loc[("claims", "perturbation"), "levels"] == 4
    scores = pd.read_csv(run.folder / "results/tables/layer_scores.csv")
    assert set(scores["position"]) == set(POSITIONS)
    assert set(pd.read_csv(run.folder / "results/tables/activation_drift.csv")["position"]) == set(POSITIONS)


def test_all_of_it_is_audited_and_nothing_is_left_to_do(run):
    assert "intact" in run.conceptdepth("audit", "--all").stdout
    assert "Nothing to be done" in snakemake(run).stderr


def test_the_tokens_that_are_read_are_shown(run):
    said = snakemake(run, "show_prompts", "--quiet", "all").stdout
    (chat,) = [part for part in said.split("\n\n") if part.startswith("claims.chat")]
    assert "  span_last    oslo  (token " in chat
    assert "  text_mean    the | city | of | oslo | is | in | norway | .  (mean of " in chat
