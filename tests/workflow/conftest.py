"""Projects for real snakemake runs."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock
from project import CELLS, OVERLAY, Project, make_project


@pytest.fixture
def sockets(monkeypatch):
    """The folder of the workers of one test; the path of a socket has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="run", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def project(tmp_path):
    """A project that nothing has run in."""
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A project whose whole workflow has run, one for all workers: tests copy it and leave it as it is."""
    shared, worker = tmp_path_factory.getbasetemp(), os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker:
        shared = shared.parent
    made = shared / "finished.json"
    with FileLock(shared / "finished.lock"):
        if not made.exists():
            project = make_project(shared / f"finished{worker}")
            # In three steps, however busy the machine is: all cells of a model are ready before the first is extracted, and
            # no other job stands between two of them for the minute after which a worker leaves.
            ready = [f"results/models/{model}/model.json" for model in OVERLAY["run"]["models"]]
            texts = [
                f"results/prompts/{d}.{p}.jsonl"
                for d in OVERLAY["run"]["datasets"]
                for p in OVERLAY["run"]["perturbations"]
            ]
            cells = [f"results/activations/{cell}.h5" for cell in CELLS]
            for targets in ([*ready, *texts], cells, []):
                result = project.snakemake(*targets)
                assert result.returncode == 0, result.stderr
            made.write_text(json.dumps([str(project.folder), str(project.hub), content(project)]))
    folder, hub, before = json.loads(made.read_text())
    project = Project(Path(folder), Path(hub))
    yield project
    changed = {path for path, _ in content(project).items() ^ before.items()}
    assert not changed, "a test changed the finished project, which others copy"


def content(project: Project) -> dict[str, str]:
    """Return the hash of every file of a project and of its models, and where each link leads."""
    return {
        str(path): str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in (project.folder, project.hub)
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }
