"""A cluster for each file of tests: two of them run side by side, since their tests mostly wait."""

import pytest
from cluster import Cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
    assert running.daemons() == []
    assert running.processes() == []
