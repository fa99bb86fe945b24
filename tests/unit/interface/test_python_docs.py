"""Every block of docs/python.md runs, one after another, and names what there is."""

import re
from pathlib import Path

import pytest
from conceptdepth import Results, probe
from conceptdepth.interface.tables import type_of
from conceptdepth.interface.vectors import Vectors
from conceptdepth.models.fetch import fetch_model
from small_run import MODEL
from tiny_model import save_tiny_model

PAGE = (Path(__file__).parents[3] / "docs/python.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def there(small_run, tmp_path, monkeypatch):
    """A folder in which the results of a small run lie, called as in the page."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    for part in small_run.iterdir():
        (tmp_path / "results" / part.name).symlink_to(part)
    weights = save_tiny_model(tmp_path / f"results/models/{MODEL}/weights")
    fetch_model(MODEL, {"path": str(weights)}, weights.parent / "model.json", None)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


def test_every_block_runs_after_those_before_it(there):
    assert PAGE.count("```python") == len(BLOCKS) > 8
    names = {}
    for block in BLOCKS:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert {path.name for path in there.iterdir()} == {"results", "layer_4.parquet", "tables"}
    assert names["mine"].at().shape == (3, 2, 64)
    assert names["x"].shape[0] == len(names["curve"])
    assert names["found"].curves["accuracy"].max() > 0.7
    assert (names["probes"].curves["accuracy"] == names["curve"]["accuracy"]).all()


def test_types_in_the_page_are_those_of_the_columns():
    rows = re.findall(r"^\| (.*?) \| `(\w+)`", PAGE, re.MULTILINE)
    assert [kind for _, kind in rows] == ["category", "int64", "boolean", "float64"]
    for columns, kind in rows[:3]:
        named = [name for name in re.findall(r"`(\w+)`", columns) if name not in ("layer_scores", "converged")]
        assert named
        assert {type_of("concept_depth", name) for name in named} == {kind}
    assert type_of("layer_scores", "converged") == "boolean"


@pytest.mark.parametrize("what", [Results, Vectors, probe])
def test_everything_that_is_offered_is_in_the_page(what):
    if what is not probe:
        public = [
            name
            for name, value in vars(what).items()
            if not name.startswith("_") and (callable(value) or hasattr(value, "func"))
        ]
        assert [name for name in public if name not in PAGE] == []
    assert what.__name__.lower() in PAGE.lower()
