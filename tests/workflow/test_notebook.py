"""The notebook of the documentation runs from its first cell to its last on what a run left, and holds no outputs."""

import os
from pathlib import Path

import nbclient
import nbformat
import pytest
from conceptdepth import Results
from conceptdepth.ground.names import CELL
from conceptdepth.interface.tables import type_of
from project import CELLS

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs/notebook.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_holds_no_outputs(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert [cell.outputs for cell in cells] == [[]] * len(cells)
    assert {cell.execution_count for cell in cells} == {None}
    assert not notebook.metadata.keys() - {"kernelspec", "language_info"}


def test_it_runs_on_a_finished_run_and_shows_what_it_says(notebook, finished, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(ROOT / "workflow_scripts"), os.environ.get("PYTHONPATH", "")])
    )
    for name, value in finished.variables().items():
        monkeypatch.setenv(name, value)
    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    run = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(finished.folder)}}
    ).execute()
    shown = [
        [output for output in cell.outputs if output.output_type != "stream"]
        for cell in run.cells
        if cell.cell_type == "code"
    ]
    assert "16 cells" in shown[0][0].data["text/plain"]
    assert "text/html" in shown[1][0].data
    assert ["image/png" in outputs[0].data for outputs in shown[2:4]] == [True, True]
    (said,) = [
        output.text
        for cell in run.cells
        for output in cell.get("outputs", ())
        if "largest difference" in output.get("text", "")
    ]
    assert float(said.split()[-1]) < 1e-12


def test_every_table_of_a_run_is_read_with_the_types_of_its_columns(finished):
    results = Results(finished.folder / "results")
    assert {"concept_depth", "activation_drift", "claims", "data_audit", "depth_differences"} <= {*results.tables}
    for name in results.tables:
        table = results.table(name)
        types = {column: str(dtype) for column, dtype in table.dtypes.items()}
        assert types == {column: type_of(name, column) or "float64" for column in table}, name
    assert ["{}/{}/{}.{}".format(*names) for names in results.cells[list(CELL)].to_numpy()] == CELLS
    assert results.cells[["tables", "vectors", "probes"]].all(axis=None)
    assert results.record("figures/depths.png")["rule"] == "plot_depths"
