"""Random kills of Snakemake, its jobs and the worker: a rerun makes the same bytes, and nothing half-written stays.

`docs/reliability.md` has the counts of a long run.
"""

import os
import random
import shutil
import signal

import pytest
from conceptdepth.provenance.kept import release
from kills import Campaign, content, left_behind, start, works

CELLS = [f"tiny/fp32/{dataset}.clean" for dataset in ("coins", "claims")]
"""What is made anew in the short form."""


@pytest.fixture
def seed() -> int:
    """Another one each time; that of a run is printed, and chosen with CONCEPTDEPTH_SEED."""
    seed = int(os.environ.get("CONCEPTDEPTH_SEED", random.SystemRandom().randrange(10_000)))
    print(f"CONCEPTDEPTH_SEED={seed}")
    return seed


def verdict(project, *what: str) -> str:
    """Return the word that the audit ends with, or all it says if it is another."""
    said = project.conceptdepth("audit", *what).stdout
    return "intact" if said.splitlines()[-1].startswith("intact: ") else said


def take_away(project, *cells: str) -> None:
    """Take away what extraction and training made of cells: of the first alone no run would make anything anew."""
    for cell in cells:
        for file in ("activations/{}.h5", "probes/{}.csv", "probes/{}.h5"):
            (project.folder / "results" / file.format(cell)).unlink(missing_ok=True)


def have_a_worker_come(project, *targets: str) -> None:
    """Extract a cell once more: what a worker that was hit has left the next one removes, and none may have come yet."""
    take_away(project, CELLS[0])
    activations = project.folder / f"results/activations/{CELLS[0]}.h5"
    release(activations.parent)  # Or it might be taken back, and nobody asked.
    result = project.snakemake(*targets)
    assert result.returncode == 0, result.stderr
    assert activations.exists()


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
    assert verdict(project, "--all") == "intact"


def test_a_second_snakemake_is_refused_and_a_few_kills_change_nothing(finished, tmp_path, sockets, seed):
    project = finished.copy(tmp_path / "project")
    known = content(project)
    take_away(project, *CELLS)
    targets = [f"results/probes/{cell}.csv" for cell in CELLS]
    first = start(project, *targets)
    assert works(project, first)
    first.send_signal(signal.SIGSTOP)  # Or it might be done before the second looks.
    second = project.snakemake(*targets)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert "Directory cannot be locked" in second.stderr
    assert "Traceback" not in second.stderr
    campaign = Campaign(project, targets, known, lambda: take_away(project, *CELLS), random.Random(seed))
    campaign.go_on(3, first)
    print(campaign.table(), campaign.summary(), sep="\n\n")
    assert campaign.different == []
    have_a_worker_come(project, *targets)
    assert left_behind(project, sockets) == []
    assert [verdict(project, target) for target in targets] == ["intact"] * len(targets)
