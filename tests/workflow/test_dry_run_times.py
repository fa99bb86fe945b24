"""A dry run of the paper's grid is little more than Snakemake itself."""

import pytest
import yaml
from benchmarks.dry_run_times import PAPER, ROOT, own_share, processor_seconds, share_of, ten_times


def test_time_is_own_below_the_first_call_into_own_code():
    snakefile, helper = (str(ROOT / "Snakefile"), 1, "<module>"), (str(ROOT / "rules/common.smk"), 9, "cells")
    expand, main = ("snakemake/io.py", 5, "expand"), ("snakemake/cli.py", 1, "main")
    functions = {  # Calls twice, own time, time with what is below, callers.
        main: (1, 1, 6.0, 10.0, {}),
        snakefile: (1, 1, 1.0, 4.0, {main: (1, 1, 1.0, 4.0)}),
        helper: (1, 1, 0.5, 3.0, {snakefile: (1, 1, 0.5, 3.0)}),
        expand: (1, 1, 2.5, 2.5, {helper: (1, 1, 2.5, 2.5)}),
    }
    assert share_of(functions) == pytest.approx(0.4)


@pytest.mark.long
def test_a_dry_run_is_little_more_than_snakemake_itself(tmp_path):
    overlay = tmp_path / "noise.yaml"
    overlay.write_text(yaml.safe_dump(ten_times()))
    version = min(processor_seconds(["--version"]) for _ in range(3))
    assert min(processor_seconds(PAPER) for _ in range(3)) <= 3.2 * version  # 2.8 to 3.1 in four runs.
    assert processor_seconds([*PAPER, str(overlay)]) <= 25 * version
    assert own_share(PAPER) <= 0.25
