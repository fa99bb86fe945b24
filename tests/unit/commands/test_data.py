"""DATA.md is what the registry says."""

from pathlib import Path

import yaml
from conceptdepth.commands.data import data_table, run
from conceptdepth.ground.files import ROOT

PAGE = Path(__file__).parents[3] / "DATA.md"


def test_the_table_of_data_is_that_of_the_registry(capsys):
    datasets = yaml.safe_load((ROOT / "config/datasets.yaml").read_text())["datasets"]
    assert PAGE.read_text() == data_table(datasets)
    assert run() == 0
    assert capsys.readouterr().out == PAGE.read_text()
