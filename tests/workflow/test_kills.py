"""Random kills of Snakemake, its jobs and the worker: a rerun makes the same bytes, and nothing half-written stays.

`docs/reliability.md` has the counts of a long run.
"""

import os
import random
import shutil
import signal

import pytest
from kills import Campaign, content, left_behind, start, works

CELLS = [f"tiny/fp32/{dataset}.clean" for dataset in ("coins", "claims")]
"""What is made anew in the short form."""


@pytest.fixture
def seed() -> int:
    """Another one each time; that of a run is printed, and chosen with CONCEPTDEPTH_SEED."""
    seed = int(os.environ.get("CONCEPTDEPTH_SEED", random.SystemRandom().randrange(10_000)))
    print(f"CONCEPTDEPTH_SEED={seed}")
    return seed


def intact(project, *what: str) -> bool:
    return project.conceptdepth("audit", *what).stdout.splitlines()[-1].startswith("intact: ")


def have_a_worker_come(project, *targets: str) -> None:
    """Extract a cell once more: what a worker that was hit has left the next one removes, and none may have come yet."""
    (project.folder / f"results/activations/{CELLS[0]}.h5").unlink()
    result = project.snakemake(*targets)
    assert result.returncode == 0, result.stderr


@pytest.mark.long
def test_thirty_kills_of_the_whole_workflow(project, sockets, seed, capsys):
    project.overlay(lambda config: config["run"].update(perturbations=["clean"]))
    assert project.snakemake().returncode == 0
    known = content(project)

    def reset():
        shutil.rmtree(project.folder / "results")
        shutil.rmtree(project.folder / ".snakemake")

    reset()
    campaign = Campaign(project, [], known, reset, random.Random(seed))
    campaign.go_on(30)
    with capsys.disabled():
        print(f"\nCONCEPTDEPTH_SEED={seed}\n\n{campaign.table()}\n\n{campaign.summary()}")
    assert campaign.different == []
    have_a_worker_come(project)
    assert left_behind(project, sockets) == []
    assert intact(project, "--all")


def test_a_second_snakemake_is_refused_and_a_few_kills_change_nothing(finished, tmp_path, sockets, seed):
    project = finished.copy(tmp_path / "project")
    results, known = project.folder / "results", content(project)

    def reset():
        for cell in CELLS:
            for file in ("activations/{}.h5", "probes/{}.csv", "probes/{}.h5"):
                (results / file.format(cell)).unlink(missing_ok=True)

    reset()
    targets = [f"results/probes/{cell}.csv" for cell in CELLS]
    first = start(project, *targets)
    assert works(project, first)
    first.send_signal(signal.SIGSTOP)  # Or it might be done before the second looks.
    second = project.snakemake(*targets)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert "Directory cannot be locked" in second.stderr
    assert "Traceback" not in second.stderr
    campaign = Campaign(project, targets, known, reset, random.Random(seed))
    campaign.go_on(3, first)
    print(campaign.table(), campaign.summary(), sep="\n\n")
    assert campaign.different == []
    have_a_worker_come(project, *targets)
    assert left_behind(project, sockets) == []
    assert all(intact(project, target) for target in targets)
