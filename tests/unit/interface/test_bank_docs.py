"""Every block of docs/probe_bank.md runs, one after another, in a folder with a bank and its model."""

import re
from pathlib import Path

import numpy as np
import torch
from conceptdepth.interface.opened import open_model
from conceptdepth.interface.steering import TrainedSplit, steering, write_plain
from conceptdepth.models.fetch import fetch_model
from exported import write_folder
from tiny_model import save_tiny_model

PAGE = (Path(__file__).parents[3] / "docs/probe_bank.md").read_text()
BLOCKS = re.findall(r"^( *)```python\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
LAYERS, WIDTH = 9, 64
MODEL = "smollm2-135m"


def test_every_block_runs_after_those_before_it(tmp_path, monkeypatch, capsys):
    assert PAGE.count("```python") == len(BLOCKS) == 3
    monkeypatch.chdir(tmp_path)
    weights = save_tiny_model(tmp_path / f"results/models/{MODEL}/weights")
    fetch_model(MODEL, {"path": f"results/models/{MODEL}/weights"}, weights.parent / "model.json", None)
    with open_model(weights, device="cpu") as model:
        files = model.files
    folder = tmp_path / f"results/bank/{MODEL}/fp32/cities.clean"
    write_folder(folder, width=WIDTH, model={"files": files})
    draw = np.random.default_rng(0)
    found = steering(
        [TrainedSplit(draw.normal(size=(LAYERS, WIDTH + 1)), np.arange(4))],
        draw.normal(size=(LAYERS, 4, WIDTH)), np.array([0, 1, 0, 1], np.int8),
    )  # fmt: skip
    (folder / "steering").mkdir()
    write_plain(folder / "steering/residual.last.logistic_regression.safetensors", found, {})
    names = {}
    for indent, block in BLOCKS:
        source = "\n".join(line.removeprefix(indent) for line in block.splitlines())
        exec(compile(source, "docs/probe_bank.md", "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "layer 1 of mlp_input: held-out accuracy 0.75"
    assert [line.partition("  ")[2].strip().partition("  ")[2].strip() for line in said[1:]] == names["texts"]
    assert names["vectors"].at(site="residual").shape == (3, 10, WIDTH)
    ((hook, step),) = torch.load("mine.pt", weights_only=True).items()
    assert hook == "layers.8"
    np.testing.assert_array_equal(step["steering_vector"].numpy(), found.directions[8].astype(np.float32))
