"""Every block of docs/python.md runs, one after another, and names what there is."""

import re
from pathlib import Path

import pytest
from conceptdepth import Probe, Results, Vectors
from conceptdepth.interface import INTERFACE
from conceptdepth.interface.cell import Cell
from conceptdepth.interface.probing import Probes
from conceptdepth.interface.tables import type_of
from conceptdepth.models.fetch import fetch_model
from small_run import MODEL
from tiny_model import save_tiny_model

PAGE, BANK = ((Path(__file__).parents[3] / f"docs/{name}.md").read_text() for name in ("python", "probe_bank"))
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

NOT_FOR_NOTEBOOKS = {"file", "trained", "own"}
"""What only the library asks for."""


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


def asked_for(name, page):
    """Whether a page asks something for a name, as in `vectors.at(...)`."""
    return re.search(rf"\.{name}\b", page) is not None


def test_a_short_name_is_not_found_in_a_longer_word():
    assert not asked_for("at", "What is `.attribute`? data, at")
    assert asked_for("at", "vectors.at(site)")


@pytest.mark.parametrize(
    ("what", "page"), [(Results, PAGE), (Cell, PAGE), (Probes, PAGE), (Vectors, PAGE), (Probe, PAGE + BANK)]
)
def test_everything_that_is_offered_is_in_the_page(what, page):
    public = [name for name in list(vars(what)) if not name.startswith("_") and name not in what.__annotations__]
    assert public
    assert [name for name in public if name not in NOT_FOR_NOTEBOOKS and not asked_for(name, page)] == []
    fields = [name for name in vars(what).get("__dataclass_fields__", ()) if name not in NOT_FOR_NOTEBOOKS]
    assert [name for name in fields if not re.search(rf"[.`]{name}\b", page)] == []


@pytest.mark.parametrize("name", INTERFACE)
def test_every_name_of_the_package_is_in_a_page(name):
    assert re.search(rf"`{name}`|\b{name}\(|import .*\b{name}\b", PAGE + BANK)
