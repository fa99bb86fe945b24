"""The summary of a run counts the probes that converged, and the curves of which most did not."""

from pathlib import Path

import pandas as pd
import pytest
from conceptdepth.commands.summary import TABLE, converged
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
