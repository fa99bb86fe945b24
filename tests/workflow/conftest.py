"""Projects for real snakemake runs."""

import pytest
from project import make_project


@pytest.fixture
def project(tmp_path):
    """A project that nothing has run in."""
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A project whose whole workflow has run. Tests must leave it as it is."""
    project = make_project(tmp_path_factory.mktemp("finished"))
    result = project.snakemake()
    assert result.returncode == 0, result.stderr
    return project
