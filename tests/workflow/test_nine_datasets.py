"""The paper's nine datasets go from a mirror of their files to figures, with a tiny model."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny_model import save_tiny_model

ROOT = Path(__file__).parents[2]
MIRROR = ROOT / "../shared/sources"

pytestmark = pytest.mark.skipif(not MIRROR.is_dir(), reason="no mirror of the paper's files in ../shared/sources")

PER_CLASS = 10


NINE = yaml.safe_load((ROOT / "tests/mirror.yaml").read_text())["run"]["datasets"]
THREE = ["counterfact", "hateeval", "strategyqa"]
"""One of each domain: a table, a licence to accept, a parser."""


@pytest.mark.parametrize("names", [THREE, pytest.param(NINE, marks=pytest.mark.long)], ids=len)
def test_datasets_of_the_paper_end_to_end(project, names):
    mirror = yaml.safe_load((ROOT / "tests/mirror.yaml").read_text())
    mirror["run"]["datasets"] = names
    mirror["source_mirror"] = str(MIRROR)
    rows = mirror["datasets"]["imdb_rows"]["source"]
    rows["path"] = str(MIRROR / Path(rows["path"]).name)
    mirror["run"]["models"] = ["tiny"]
    mirror["datasets"] |= {name: mirror["datasets"].get(name, {}) | {"max_per_class": PER_CLASS} for name in names}
    save_tiny_model(project.folder / "data/tiny", most_tokens=4096)
    (project.folder / "mirror.yaml").write_text(yaml.safe_dump(mirror))
    # The overlay of the project has the tiny model; the mirror, which comes last, chooses it.
    overlays = ["overlay.yaml", "config/nine_datasets.yaml", "mirror.yaml"]
    result = project.run(sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", *overlays)
    assert result.returncode == 0, result.stderr

    scores = pd.read_csv(project.folder / "results/tables/layer_scores.csv")
    assert scores["dataset"].unique().tolist() == names
    assert len(NINE) == 9
    assert (scores["n_train"] + scores["n_test"]).unique().tolist() == [2 * PER_CLASS]
    depths = pd.read_csv(project.folder / "results/tables/concept_depth.csv")
    assert depths["dataset"].tolist() == names
    for name in ("accuracy.png", "accuracy.svg", "depths.png", "depths.svg"):
        assert (project.folder / "results/figures" / name).stat().st_size > 10_000
    assert "intact" in project.conceptdepth("audit", "--all").stdout
