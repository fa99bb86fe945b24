"""Probes that a real run exported: applied to its own statements they say what the run said of them, held out."""

import h5py
import numpy as np
import pytest
from conceptdepth.activations.store import open_activations, vectors_of
from conceptdepth.datasets.rows import read_prompts, read_statements
from conceptdepth.interface.bank import load_probe
from conceptdepth.interface.extract import extract
from conceptdepth.interface.opened import open_model
from conceptdepth.interface.readme import front_matter
from huggingface_hub import metadata_load
from project import CELLS, MARKUP

TINY = [cell for cell in CELLS if cell.startswith("tiny/")]
CURVE = "mlp_input/last/logistic_regression/concept"


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """The finished project with its bank. Tests must leave it as it is."""
    project = finished.copy(tmp_path_factory.mktemp("bank") / "project")
    result = project.conceptdepth("export")
    assert result.returncode == 0, result.stderr
    *folders, last = result.stdout.splitlines()
    assert folders == [f"results/bank/{cell}" for cell in CELLS]
    assert last.startswith(f"{len(CELLS)} cells, ")
    return project


@pytest.fixture(scope="module")
def models(exported):
    """The tiny model in both of its weight formats, opened from the results of the run."""
    opened = {
        weights: open_model(exported.folder / "results/models/tiny", weights=weights, device="cpu")
        for weights in ("fp32", "int8")
    }
    yield opened
    for model in opened.values():
        model.close()


def parts(cell):
    """Return the weight format and the dataset of a cell, and the stem of its prompts."""
    _, weights, prompts = cell.split("/")
    return weights, prompts.split(".")[0], prompts


@pytest.mark.parametrize("cell", TINY)
def test_scores_of_the_runs_own_statements_are_its_held_out_decisions(exported, models, cell):
    weights, dataset, _ = parts(cell)
    rows = read_statements(exported.folder / f"results/datasets/{dataset}.jsonl")
    texts, ids = ([row[name] for row in rows] for name in ("text", "id"))
    means = {}
    with h5py.File(exported.folder / f"results/probes/{cell}.h5") as file:
        for seed in (1, 2):
            split = file[f"{CURVE}/seed_{seed}"]
            for layer in range(3):
                probe = load_probe(exported.folder / f"results/bank/{cell}", layer=layer, seed=seed)
                scores = probe.score(texts, models[weights], ids=ids)
                np.testing.assert_allclose(scores[split["test"][:]], split["decision"][layer], rtol=0, atol=1e-9)
                means[layer] = [*means.get(layer, []), scores]
    for layer, scores in means.items():
        probe = load_probe(exported.folder / f"results/bank/{cell}", layer=layer)
        np.testing.assert_allclose(
            probe.score(texts, models[weights], ids=ids), np.mean(scores, axis=0), rtol=0, atol=1e-9
        )


@pytest.mark.parametrize("cell", TINY)
def test_extracted_vectors_are_those_of_the_run_to_the_last_bit(exported, models, cell):
    weights, _, prompts = parts(cell)
    rows = read_prompts(exported.folder / f"results/prompts/{prompts}.jsonl")
    found = extract(models[weights], [row["prompt"] for row in rows])
    with open_activations(exported.folder / f"results/activations/{cell}.h5") as file:
        np.testing.assert_array_equal(found.at(), vectors_of(file)["mlp_input", "last"][:])


def test_the_other_model_is_refused(exported, models):
    probe = load_probe(exported.folder / "results/bank/cached/fp32/claims.clean")
    with pytest.raises(Exception, match="tiny is not the model of this probe, cached"):
        probe.score(["oslo is in norway"], models["fp32"])


def test_a_card_says_what_the_probes_are_and_where_they_come_from(exported):
    cell = "cached/fp32/claims.noise"
    folder = exported.folder / f"results/bank/{cell}"
    probe = load_probe(folder)
    card = probe.card
    assert card["dataset"]["classes"] == ["true", "false"]
    assert card["rendering"]["perturbation"] == {"prepend": ["aaa", "bbb"], "seed": 0}
    assert card["model"]["source"]["hf"] == "tests/cached"
    assert probe.accuracy == max(card["curves"][0]["accuracy"])
    assert probe.interval[0] <= probe.accuracy <= probe.interval[1]
    assert {record["rule"] for record in card["origin"]["records"]} == {
        "train_probes", "extract_activations", "fetch_model", "render_prompts", "prepare_dataset", "fetch_source",
    }  # fmt: skip
    with h5py.File(exported.folder / card["origin"]["path"]) as file:
        assert file.attrs["record"].endswith(card["origin"]["record"])
    assert "intact" in exported.traced(card["origin"]["path"])
    assert not (folder / "steering").exists()
    page = (folder / "README.md").read_text()
    assert "the run read no site of it" in page
    assert MARKUP not in page.partition("\n---\n")[2]
    data = metadata_load(folder / "README.md")
    assert (data["base_model"], data["license"], data["library_name"]) == ("tests/cached", "other", "conceptdepth")
    assert front_matter(card) in page
    assert data["model-index"][0]["results"][0]["metrics"][0]["value"] == card["curves"][0]["held_out_peak"]["accuracy"]


def test_a_card_leaves_out_what_so_few_statements_do_not_tell(exported):
    """Where there is no layer that other statements chose, there is no accuracy of one."""
    folders = [exported.folder / f"results/bank/{cell}" for cell in CELLS]
    peaks = [load_probe(folder).card["curves"][0]["held_out_peak"] for folder in folders]
    assert None in peaks
    for folder, peak in zip(folders, peaks):
        assert ("model-index" in metadata_load(folder / "README.md")) == (peak is not None)


def test_a_part_can_be_chosen_and_goes_where_it_is_wanted(exported, tmp_path):
    result = exported.conceptdepth("export", "--model", "tiny", "--dataset", "coins", "--to", str(tmp_path / "mine"))
    assert result.returncode == 0, result.stderr
    cells = [cell for cell in TINY if "/coins." in cell]
    assert sorted(path.parent for path in (tmp_path / "mine").rglob("card.json")) == sorted(
        tmp_path / "mine" / cell for cell in cells
    )
    for cell in cells:
        again = {path.name: path.read_bytes() for path in (tmp_path / "mine" / cell).iterdir()}
        assert again == {path.name: path.read_bytes() for path in (exported.folder / "results/bank" / cell).iterdir()}


def test_nothing_is_exported_that_is_not_as_it_was_recorded(exported, tmp_path):
    project = exported.copy(tmp_path / "project")
    result = project.conceptdepth("export", "--model", "huge")
    assert (result.returncode, result.stderr) == (1, "Error: the run has no model 'huge'; it has tiny, cached.\n")
    (tmp_path / "mine/tiny/fp32/coins.clean").mkdir(parents=True)
    result = project.conceptdepth("export", "--model", "tiny", "--to", str(tmp_path / "mine"))
    assert "coins.clean is no folder of exported probes; move it away" in result.stderr
    with h5py.File(project.folder / "results/probes/tiny/fp32/coins.clean.h5", "r+") as file:
        file[f"{CURVE}/seed_1/coefficients"][0, 0] += 1
    before = {path: path.read_bytes() for path in (project.folder / "results/bank/tiny/fp32/coins.clean").iterdir()}
    result = project.conceptdepth("export", "--dataset", "coins")
    assert result.returncode == 1
    assert result.stderr.startswith(
        "Error: these results are not intact, so they are not exported: results/probes/tiny/fp32/coins.clean.h5 "
    )
    assert {path: path.read_bytes() for path in before} == before


def test_it_needs_a_finished_run(project):
    result = project.conceptdepth("export")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "Error: there is no results/tables/configuration.yaml, or no table beside it: this needs a finished run"
    )
