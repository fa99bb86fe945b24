"""What probes say of held-out statements is held against the labels of the target that they were trained for."""

import shutil

import h5py
import pandas as pd
import pytest
from conceptdepth import Results
from conceptdepth.ground.errors import UserError
from conceptdepth.probes.estimators import ProbeSettings
from small_run import MODEL
from train_probes import train_probes

NAMES = {"model": MODEL, "quantization": "fp32", "dataset": "cities", "perturbation": "clean"}
TARGETS = ["concept", "shuffled_labels", "control_task", "partial_out"]


@pytest.fixture(scope="module")
def trained(small_run, tmp_path_factory):
    """Results of one cell whose probes have every target, and its scores."""
    folder = tmp_path_factory.mktemp("targets") / "probes/smollm2-135m/fp32"
    folder.mkdir(parents=True)
    train_probes(
        str(small_run / "activations/smollm2-135m/fp32/cities.clean.h5"),
        cell=NAMES,
        settings=ProbeSettings(split="grouped", test_share=0.4, seeds=[1, 2], C=1.0, max_iter=100, kinds=["ridge"]),
        controls={"targets": TARGETS[1:3], "embedding_layer": False, "partial_out": ["length", "norm"]},
        threads=1,
        scores=str(folder / "cities.clean.csv"),
        probes=str(folder / "cities.clean.h5"),
        record="0" * 64,
    )
    return Results(folder.parents[2]), pd.read_csv(folder / "cities.clean.csv")


@pytest.mark.parametrize("target", TARGETS)
def test_the_share_that_is_right_is_the_accuracy_of_the_target(trained, target):
    results, scores = trained
    rows = results.statements(site="residual", target=target)
    right = rows.groupby(["seed", "layer"])["right"].mean()
    own = scores[(scores["target"] == target) & (scores["site"] == "residual")]
    assert right.tolist() == pytest.approx(own.set_index(["seed", "layer"])["accuracy"].sort_index().tolist())
    assert (rows["right"] == (rows["predicted"] == rows["label"])).all()


def test_a_target_that_is_not_there_is_answered_by_those_that_are(trained):
    with pytest.raises(
        UserError,
        match=r"cities.clean.h5 has no target 'shuffled'; it has concept, control_task, partial_out, shuffled_labels\.$",
    ):
        trained[0].statements(site="residual", target="shuffled")


def test_a_file_without_names_of_statements_is_said(trained, tmp_path):
    copy = shutil.copytree(trained[0].folder, tmp_path / "older")
    with h5py.File(copy / "probes/smollm2-135m/fp32/cities.clean.h5", "r+") as file:
        del file["id"]
    with pytest.raises(UserError, match=r"cities.clean.h5 is of an older version: it has no ids; delete it and run"):
        Results(copy).statements(site="residual")
